"""Ids that are not the caller's, ids that are none, addresses that lead nowhere, and methods that they do not take."""

from collections.abc import Iterator
from itertools import chain

import pytest

from tests.acceptance.bad_inputs.dialects import FREDDY
from tests.acceptance.bad_inputs.raw import ask, request
from tests.acceptance.bad_inputs.routes import ADDRESSES, ENDS, NEVER_WAS, End
from tests.acceptance.bad_inputs.site import CANARY, Site

NOT_FOUND = (404, "not_found_error", "not_found", None)
UNKNOWN_URL = (404, "not_found_error", "unknown_url", None)
NOT_ALLOWED = (405, "invalid_request_error", "method_not_allowed", None)

MALFORMED = [
    CANARY,
    "resp_",
    "resp_1",
    NEVER_WAS.upper(),
    NEVER_WAS[:-1],
    f"{NEVER_WAS}0",
    NEVER_WAS.replace("resp_", "resp-"),
    NEVER_WAS.removeprefix("resp_"),
    f"{NEVER_WAS}%0a",
    f"{NEVER_WAS}%20",
    "%00",
    f"{NEVER_WAS}%00",
    f"%00{CANARY}",
    "%2f..",
    f"{NEVER_WAS}%2f..",
    f"..%2F..%2f{CANARY}",
    f"{NEVER_WAS}%2f..%2f{NEVER_WAS}",
    f"{NEVER_WAS}%2fcancel%2f..",
    "%252f..",
    "..",
    "%2e%2e",
    "%5c..",
    "%ff",
    "%ed%a0%80",
    "%F0%9F%98%80",
    "%E2%80%AE",
    "%0d%0aX-Injected:%20yes",
    "resp_%27--",
    "%3Cscript%3E",
    "x" * 3_000,
]

every_end = pytest.mark.parametrize("end", ENDS, ids=str)


@pytest.fixture(scope="module")
def theirs(site: Site) -> Iterator[list[str]]:
    """The responses of another key: one that waits, one that is completed."""
    stranger = site.new_key()
    waiting, completed = (site.create(FREDDY, key=stranger) for _ in range(2))
    site.complete(completed)
    yield [waiting, completed]
    statuses = [
        site.ask("GET", f"{FREDDY.path}/{job_id}", key=stranger).json["status"] for job_id in (waiting, completed)
    ]
    assert statuses == ["queued", "completed"]


@every_end
def test_nobody_can_tell_anothers_id_from_one_that_never_was(site: Site, theirs: list[str], end: End) -> None:
    before = site.stored()
    unknown = site.ask(end.method, end.target(NEVER_WAS))
    assert unknown.error == NOT_FOUND
    replies = {each: site.ask(end.method, end.target(each)) for each in chain(theirs, MALFORMED)}
    assert {each: reply.status for each, reply in replies.items()} == dict.fromkeys(replies, 404)
    assert {each: reply.body for each, reply in replies.items()} == dict.fromkeys(replies, unknown.body)
    telling = {"x-request-id", "date", "ratelimit", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"}
    headers = {
        tuple(pair for pair in reply.headers if pair[0].lower() not in telling)
        for reply in (unknown, *replies.values())
    }
    assert len(headers) == 1
    assert all(reply.header("x-request-id") for reply in replies.values())
    assert site.stored() == before


def test_both_dialects_say_it_in_the_same_bytes(site: Site) -> None:
    assert len({site.ask(end.method, end.target(NEVER_WAS)).body for end in ENDS}) == 1


@every_end
def test_an_encoded_slash_opens_no_door(site: Site, end: End) -> None:
    bare = request(end.method, end.target(f"{NEVER_WAS}%2f.."))
    assert ask(site.url, bare).status == 401


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_wrong_method_is_told_the_right_ones(site: Site, address: str) -> None:
    allowed = ADDRESSES[address]
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - allowed:
        for data in (site.request(method, address), request(method, address)):
            reply = ask(site.url, data)
            assert reply.error == NOT_ALLOWED, method
            assert set((reply.header("allow") or "").split(", ")) == allowed


UNKNOWN = [
    f"/{CANARY}",
    f"/{CANARY}?{CANARY}={CANARY}",
    "/v1",
    "/v1/",
    "/v2/responses",
    "/v1/%00",
    "/v1/model",
    "/v1//responses",
    "/v1%2f..",
    "/v1/../v1/responses",
    f"/v1/responses/{NEVER_WAS}/{CANARY}",
    f"/v1/responses/{NEVER_WAS}/input_items/{CANARY}",
    f"/v1/model/response/{NEVER_WAS}/input_items",
    f"/v1/model/response/{NEVER_WAS}/a/b",
    "/V1/RESPONSES",
    "/%3Cscript%3E",
    "/.env",
    "*",
    f"http://{CANARY}/nowhere",
]


@pytest.mark.parametrize("target", UNKNOWN)
def test_an_address_that_leads_nowhere(site: Site, target: str) -> None:
    for method in ("OPTIONS",) if target == "*" else ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        assert site.refuses(site.request(method, target)) == UNKNOWN_URL, method
        assert site.refuses(request(method, target)) == UNKNOWN_URL, method
