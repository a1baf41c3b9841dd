"""Rates and caps as clients meet them: the refusals, and what every reply tells."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from flask import Flask
from redis import Redis

from app.container import Container
from app.domain.ids import new_id, public_id
from app.domain.rates import Overrides, Rate
from app.domain.scopes import DEFAULT_SCOPES
from app.domain.secrets import new_key
from app.factory import create_app
from app.settings import Settings
from tests.integration.api.conftest import URL, Api, Reply, refused, stored
from tests.processes import free_port, wait_until

DEADLINE = 30
OVER_THE_RATE = (429, "rate_limit_error", "rate_limit_exceeded", None)
UNKNOWN = f"{URL}/{public_id(new_id())}"

_POLICY = re.compile(r'"(?P<bucket>create|poll)";q=(?P<q>\d+);w=(?P<w>\d+)')
_STANDING = re.compile(r'"(?P<bucket>create|poll)";r=(?P<r>\d+);t=(?P<t>\d+)')
_DURATION = re.compile(r"\d+ms|(\d+h)?(\d+m)?\d+s")

MakeApi = Callable[..., Api]


class Told(NamedTuple):
    """What a reply says in both families of headers, which say the same."""

    bucket: str
    limit: int
    window: int
    remaining: int
    left: int


def told(reply: Reply) -> Told:
    policy = _POLICY.fullmatch(reply.headers["RateLimit-Policy"])
    standing = _STANDING.fullmatch(reply.headers["RateLimit"])
    assert policy
    assert standing
    assert policy["bucket"] == standing["bucket"]
    assert reply.headers["x-ratelimit-limit-requests"] == policy["q"]
    assert reply.headers["x-ratelimit-remaining-requests"] == standing["r"]
    assert _DURATION.fullmatch(reply.headers["x-ratelimit-reset-requests"])
    window = int(policy["w"])
    assert 0 < int(standing["t"]) <= window
    return Told(policy["bucket"], int(policy["q"]), window, int(standing["r"]), int(standing["t"]))


def silent(reply: Reply) -> bool:
    return not [name for name, _ in reply.headers if "ratelimit" in name.lower()]


@pytest.fixture
def make_api(settings: Settings, container: Container) -> Iterator[MakeApi]:
    """An API process with these settings, and a client of it with a key that has these limits of its own."""
    made: list[Flask] = []

    def make(overrides: Overrides | None = None, **change: Any) -> Api:
        made.append(create_app(settings.model_copy(update=change)))
        return Api(made[-1], container.keys.create("limited", DEFAULT_SCOPES, overrides=overrides)[1])

    yield make
    for app in made:
        app.extensions["simmer"].database.close()


def test_every_reply_tells_what_is_left(api: Api) -> None:
    assert told(api.create())[:4] == ("create", 6000, 60, 5999)
    assert told(api.ask("GET", UNKNOWN))[:4] == ("poll", 60_000, 60, 59_999)
    assert told(api.ask("GET"))[:4] == ("poll", 60_000, 60, 59_998)
    assert told(api.ask("DELETE", UNKNOWN))[:4] == ("poll", 60_000, 60, 59_997)


def test_a_request_that_is_refused_costs_one_as_well(api: Api) -> None:
    replies = [
        api.create(model=1),
        api.ask("POST", data=b"{", content_type="application/json"),
        api.ask("POST", data=b"x", content_type="text/plain"),
    ]
    assert [reply.status_code for reply in replies] == [400, 400, 415]
    assert [told(reply).remaining for reply in replies] == [5999, 5998, 5997]


def test_a_missing_scope_costs_one_and_says_so(app: Flask, container: Container) -> None:
    reply = Api(app, container.keys.create("reader", ["responses:read"])[1]).create()
    assert reply.status_code == 403
    assert told(reply).remaining == 5999


def test_over_the_rate(make_api: MakeApi, container: Container, stranger: Api) -> None:
    api = make_api(create_rate="2/hour")
    assert [told(api.create()).remaining for _ in range(2)] == [1, 0]
    for _ in range(2):
        reply = api.create()
        assert refused(reply) == OVER_THE_RATE
        assert reply.headers["Retry-After"] == "120"
        assert told(reply) == ("create", 2, 3600, 0, 120)
    assert stored(container) == 2
    assert api.ask("GET").status_code == 200
    assert stranger.create().status_code == 200


def test_polling_has_a_rate_of_its_own(make_api: MakeApi) -> None:
    api = make_api(poll_rate="1/hour")
    assert api.ask("GET").status_code == 200
    for method, path in (("GET", URL), ("GET", UNKNOWN), ("POST", f"{UNKNOWN}/cancel"), ("DELETE", UNKNOWN)):
        assert refused(api.ask(method, path)) == OVER_THE_RATE
    assert api.create().status_code == 200


def test_after_the_wait_there_is_more(make_api: MakeApi) -> None:
    api = make_api(poll_rate="1/second")

    def over() -> Reply | None:
        reply = api.ask("GET")
        return reply if reply.status_code == 429 else None

    reply = wait_until(over, DEADLINE, "the rate is used up")
    assert reply is not None
    assert reply.headers["Retry-After"] == "1"
    wait_until(lambda: api.ask("GET").status_code == 200, DEADLINE, "a request is allowed again")


def test_two_processes_share_a_rate(make_api: MakeApi) -> None:
    first = make_api(create_rate="3/hour")
    second = make_api(create_rate="3/hour")
    second.headers = first.headers
    assert [told(api.create()).remaining for api in (first, second, first)] == [2, 1, 0]
    assert refused(second.create()) == OVER_THE_RATE


def test_a_key_has_a_rate_of_its_own(make_api: MakeApi) -> None:
    api = make_api(Overrides(create_rate=Rate(1, 7200)))
    assert told(api.create())[:4] == ("create", 1, 7200, 0)
    assert refused(api.create()) == OVER_THE_RATE
    assert told(api.ask("GET")).limit == 60_000


def test_a_changed_rate_holds_at_once_without_a_cache(settings: Settings, container: Container) -> None:
    app = create_app(settings.model_copy(update={"key_cache": 0}))
    record, key = container.keys.create("changing", DEFAULT_SCOPES)
    api = Api(app, key)
    assert told(api.ask("GET")).limit == 60_000
    container.keys.limit(record.id, Overrides(poll_rate=Rate(5, 3600)), keep=True)
    assert told(api.ask("GET"))[:4] == ("poll", 5, 3600, 4)
    app.extensions["simmer"].database.close()


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic x"}, {"X-API-Key": "short"}, {"Authorization": f"Bearer {new_key()}"}],
    ids=["none", "basic", "malformed", "unknown"],
)
def test_who_is_not_known_costs_and_learns_nothing(app: Flask, broker_url: str, headers: dict[str, str]) -> None:
    api = Api(app, None)
    replies = [api.ask(method, path, headers=headers) for method, path in (("GET", UNKNOWN), ("POST", URL))]
    assert [reply.status_code for reply in replies] == [401, 401]
    assert all(silent(reply) for reply in replies)
    with Redis.from_url(broker_url) as client:
        assert client.keys("simmer:rate:*") == []


def test_what_is_open_to_all_costs_nothing(api: Api, broker_url: str) -> None:
    for path in ("/healthz", "/readyz", "/nowhere"):
        assert silent(api.ask("GET", path))
    with Redis.from_url(broker_url) as client:
        assert client.keys("simmer:rate:*") == []


@pytest.mark.parametrize(
    ("overrides", "settings_", "code"),
    [
        (Overrides(max_active=2), {}, "concurrency_limit_exceeded"),
        (Overrides(max_queued=2), {}, "queue_limit_exceeded"),
        (None, {"max_active": 2}, "concurrency_limit_exceeded"),
        (None, {"max_queued": 2}, "queue_limit_exceeded"),
    ],
)
def test_over_a_cap(
    make_api: MakeApi, container: Container, overrides: Overrides | None, settings_: dict[str, int], code: str
) -> None:
    api = make_api(overrides, **settings_)
    ids = [api.submit() for _ in range(2)]
    reply = api.create()
    assert refused(reply) == (429, "rate_limit_error", code, None)
    assert 1 <= int(reply.headers["Retry-After"]) <= 120
    assert told(reply).remaining == 5997
    assert stored(container) == 2
    api.ask("POST", f"{URL}/{ids[0]}/cancel")
    api.submit()


def test_over_the_cap_of_all(make_api: MakeApi, container: Container) -> None:
    api = make_api(max_queued_total=1)
    api.submit()
    reply = api.create()
    assert refused(reply) == (503, "server_error", "overloaded", None)
    assert 1 <= int(reply.headers["Retry-After"]) <= 120
    assert told(reply).remaining == 5998
    assert stored(container) == 1


def test_without_redis_each_process_keeps_the_rate(make_api: MakeApi) -> None:
    api = make_api(create_rate="2/hour", broker_url=f"redis://127.0.0.1:{free_port()}/0")
    assert [told(api.create()).remaining for _ in range(2)] == [1, 0]
    assert refused(api.create()) == OVER_THE_RATE
    assert api.ask("GET").status_code == 200


def test_what_creates_a_response_is_counted_as_such_and_all_else_is_not(app: Flask) -> None:
    buckets = {
        (rule.rule, method): bucket
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set())
        if (bucket := getattr(app.view_functions[rule.endpoint], "bucket", None))
    }
    creates = {("/v1/responses", "POST"), ("/v1/model/response", "POST")}
    assert {route for route, bucket in buckets.items() if bucket == "create"} == creates
    assert set(buckets.values()) == {"create", "poll"}
