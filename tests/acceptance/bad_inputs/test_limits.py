"""Callers that want too much: told so, told when to come again, and nothing stored."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.rates import Overrides, Rate
from tests.acceptance.bad_inputs.conftest import running
from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect, both
from tests.acceptance.bad_inputs.raw import Reply
from tests.acceptance.bad_inputs.routes import NEVER_WAS
from tests.acceptance.bad_inputs.site import Site

RATE = (429, "rate_limit_error", "rate_limit_exceeded", None)
CONCURRENCY = (429, "rate_limit_error", "concurrency_limit_exceeded", None)
QUEUED = (429, "rate_limit_error", "queue_limit_exceeded", None)
OVERLOADED = (503, "server_error", "overloaded", None)


def later(reply: Reply) -> bool:
    """Whether the reply says when to come again, in two minutes at most."""
    return 1 <= int(reply.header("retry-after") or 0) <= 120


@both
@pytest.mark.parametrize("rate", [Rate(2, 60), Rate(2, 30 * 86_400)])
def test_over_the_rate_of_creates(site: Site, dialect: Dialect, rate: Rate) -> None:
    key = site.new_key(overrides=Overrides(create_rate=rate))
    first, second = (site.ask("POST", dialect.path, dialect.body(), key=key) for _ in range(2))
    assert (first.status, second.status) == (200, 200)
    before = site.stored()
    # What is wrong in itself counts, and is not even looked at.
    for body in (dialect.body(), dialect.body(nonsense=1), b"no JSON"):
        reply = site.ask("POST", dialect.path, body, key=key)
        assert reply.error == RATE
        assert later(reply)
        assert reply.header("x-ratelimit-remaining-requests") == "0"
    assert site.stored() == before
    # Its own bucket, and that of others, are not touched.
    assert site.ask("GET", f"{dialect.path}/{first.json['id']}", key=key).status == 200
    assert site.ask("POST", dialect.path, dialect.body()).status == 200


@both
def test_over_the_rate_of_polls(site: Site, dialect: Dialect) -> None:
    key = site.new_key(overrides=Overrides(poll_rate=Rate(3, 60)))
    address = f"{dialect.path}/{NEVER_WAS}"
    assert [site.ask("GET", address, key=key).status for _ in range(3)] == [404] * 3
    for method, target in [("GET", address), ("GET", dialect.path), ("POST", f"{address}/cancel"), ("DELETE", address)]:
        reply = site.ask(method, target, key=key)
        assert reply.error == RATE
        assert later(reply)
    assert site.ask("POST", dialect.path, dialect.body(), key=key).status == 200


@both
@pytest.mark.parametrize(
    ("overrides", "error"),
    [(Overrides(max_active=2), CONCURRENCY), (Overrides(max_queued=2), QUEUED)],
    ids=["concurrency", "queued"],
)
def test_over_a_cap_of_the_key(site: Site, dialect: Dialect, overrides: Overrides, error: tuple[object, ...]) -> None:
    key = site.new_key(overrides=overrides)
    first, _ = (site.create(dialect, key=key) for _ in range(2))
    before = site.stored()
    reply = site.ask("POST", dialect.path, dialect.body(), key=key)
    assert reply.error == error
    assert later(reply)
    assert site.stored() == before
    assert site.create(dialect)
    site.ask("POST", f"{dialect.path}/{first}/cancel", key=key)
    assert site.create(dialect, key=key)


def test_a_running_job_counts_as_active_but_not_as_queued(site: Site) -> None:
    active, queued = site.new_key(overrides=Overrides(max_active=1)), site.new_key(overrides=Overrides(max_queued=1))
    for key in (active, queued):
        site.start(site.create(FREDDY, key=key))
    assert site.ask("POST", FREDDY.path, FREDDY.body(), key=active).error == CONCURRENCY
    assert site.create(FREDDY, key=queued)


@pytest.fixture(scope="module")
def small(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, quiet_valkey: str, named_models: Path
) -> Iterator[Site]:
    """An API of which two responses fill the queue."""
    folder = tmp_path_factory.mktemp("small")
    settings = {"SIMMER_MAX_QUEUED_TOTAL": "2"}
    with running(folder, postgres, quiet_valkey, named_models, **settings) as made:
        yield made


def test_the_queue_of_all_is_full(small: Site) -> None:
    small.create(FREDDY)
    second = small.create(OPENAI, key=small.new_key())
    before = small.stored()
    for dialect in (FREDDY, OPENAI):
        reply = small.ask("POST", dialect.path, dialect.body(), key=small.new_key())
        assert reply.error == OVERLOADED
        assert later(reply)
    assert small.stored() == before
    small.start(second)
    assert small.create(FREDDY)
