"""Idempotency keys: bad ones, one for two requests, one from many clients at once, and from another API key."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect, both
from tests.acceptance.bad_inputs.raw import TIMEOUT, Headers, Reply
from tests.acceptance.bad_inputs.site import CANARY, Site

IRE = "invalid_request_error"
INVALID = (400, IRE, "invalid_idempotency_key", None)
REUSED = (422, IRE, "idempotency_key_reused", None)
CLIENTS = 50
# CR and LF end a header, wherever they stand.
CONTROLS = [chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\r\n"]


def named(key: str) -> Headers:
    return [("Idempotency-Key", key)]


@both
@pytest.mark.parametrize("key", ["", " ", CANARY.ljust(256, "k"), CANARY.ljust(1_000, "k")])
def test_a_key_that_is_too_short_or_too_long(site: Site, dialect: Dialect, key: str) -> None:
    assert site.refuses(site.request("POST", dialect.path, dialect.body(), named(key))) == INVALID


@both
def test_a_key_with_a_control_character(site: Site, dialect: Dialect) -> None:
    refused = {
        control: site.refuses(site.request("POST", dialect.path, dialect.body(), named(f"a{control}{CANARY}")))
        for control in CONTROLS
    }
    assert refused == dict.fromkeys(CONTROLS, INVALID)


@both
@pytest.mark.parametrize("key", ["k", f"{CANARY} é\xa0~!", "k" * 255])
def test_a_good_key_and_the_same_again(site: Site, dialect: Dialect, key: str) -> None:
    key = f"{dialect.name} {key}"[:255]
    before = site.count()
    first, again = (site.ask("POST", dialect.path, dialect.body(), named(key)) for _ in range(2))
    assert (first.status, again.status) == (200, 200)
    assert first.json["id"] == again.json["id"]
    assert (first.header("idempotency-replayed"), again.header("idempotency-replayed")) == (None, "true")
    assert site.count() == before + 1


@both
def test_one_key_for_two_requests(site: Site, dialect: Dialect) -> None:
    key = named(f"two requests, {dialect.name}")
    assert site.ask("POST", dialect.path, dialect.body("one"), key).status == 200
    for other in (dialect.body(CANARY), dialect.body("one", temperature=1), dialect.body("one", stream=True)):
        assert site.refuses(site.request("POST", dialect.path, other, key)) == REUSED


def test_one_key_for_both_dialects(site: Site) -> None:
    key = named("both dialects")
    assert site.ask("POST", FREDDY.path, FREDDY.body(), key).status == 200
    assert site.refuses(site.request("POST", OPENAI.path, OPENAI.body(), key)) == REUSED


@both
def test_many_clients_at_once(site: Site, dialect: Dialect) -> None:
    before = site.count()
    start = threading.Barrier(CLIENTS, timeout=TIMEOUT)

    def client(_: int) -> Reply:
        start.wait()
        return site.ask("POST", dialect.path, dialect.body(), named(f"at once, {dialect.name}"))

    with ThreadPoolExecutor(CLIENTS) as pool:
        replies = list(pool.map(client, range(CLIENTS)))
    assert [reply.status for reply in replies] == [200] * CLIENTS
    assert len({reply.json["id"] for reply in replies}) == 1
    assert [reply.header("idempotency-replayed") for reply in replies].count(None) == 1
    assert site.count() == before + 1
