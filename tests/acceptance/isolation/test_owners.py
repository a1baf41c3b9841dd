"""Another key's job is no job: whatever is asked of it gets the bytes that an id gets which never was."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pytest

from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect, both
from tests.acceptance.bad_inputs.raw import Headers, Reply
from tests.acceptance.bad_inputs.routes import NEVER_WAS
from tests.acceptance.bad_inputs.site import Site
from tests.acceptance.isolation.asking import appearance, ask
from tests.acceptance.isolation.rules import OWNED
from tests.acceptance.isolation.tenants import STATES, STREAMED, Tenant, settle_in
from tests.acceptance.isolation.url_map import Route

CANARY = "canary-0123456789abcdef"
NOT_FOUND = (404, "not_found_error", "not_found", None)
NO_PREVIOUS = (400, "invalid_request_error", "previous_response_not_found", "previous_response_id")

every_owned_route = pytest.mark.parametrize("route", OWNED, ids=str)
every_state = pytest.mark.parametrize("state", STATES)


@pytest.fixture(scope="module")
def owner(site: Site) -> Tenant:
    """Whose jobs the site's own key asks for."""
    return settle_in(site, CANARY)


@dataclass(frozen=True)
class Way:
    """One of the ways to ask the same route."""

    query: str = ""
    headers: Headers = ()


def ways(route: Route, etag: str) -> Iterator[Way]:
    """Those that the route takes, and headers that must not lead round the owner's check."""
    queries = ["", "?wait=0.2", "?stream=true", "?stream=true&starting_after=1"]
    if route.address.endswith("input_items"):
        queries = ["", "?limit=1&order=asc", f"?after=msg_{NEVER_WAS.removeprefix('resp_')}8000"]
    yield from (Way(query) for query in (queries if route.method in {"GET", "HEAD"} else [""]))
    for name, value in [
        ("If-None-Match", etag),
        ("If-None-Match", "*"),
        ("If-Match", "*"),
        ("If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("Prefer", "wait=1"),
        ("Range", "bytes=0-1"),
        ("Accept", "text/event-stream"),
        ("Idempotency-Key", f"{CANARY} openai completed"),
        ("X-HTTP-Method-Override", "GET"),
    ]:
        yield Way(headers=[(name, value)])


@every_owned_route
@every_state
def test_nobody_can_tell_anothers_job_from_one_that_never_was(
    site: Site, owner: Tenant, route: Route, state: str
) -> None:
    before = site.stored()
    for job in (owner.job(state, dialect) for dialect in (FREDDY, OPENAI)):
        for way in ways(route, job.etag):
            theirs, nobodys = (
                ask(site.url, route, route.target({"response_id": each}) + way.query, site.key, way.headers)
                for each in (job.id, NEVER_WAS)
            )
            assert theirs.status == 404, way
            assert route.method == "HEAD" or theirs.error == NOT_FOUND, way
            assert appearance(theirs) == appearance(nobodys), way
    assert site.stored() == before


@both
@every_state
def test_a_conversation_goes_on_from_ones_own_responses_alone(
    site: Site, owner: Tenant, dialect: Dialect, state: str
) -> None:
    before = site.stored()
    theirs, nobodys = (
        site.ask("POST", dialect.path, dialect.body(previous_response_id=each))
        for each in (owner.job(state, dialect).id, NEVER_WAS)
    )
    assert theirs.error == NO_PREVIOUS
    assert appearance(theirs) == appearance(nobodys)
    assert site.stored() == before


def listed(site: Site, dialect: Dialect, query: str) -> Reply:
    return site.ask("GET", f"{dialect.path}?{query}")


@both
@every_state
def test_a_cursor_is_an_id_of_ones_own(site: Site, owner: Tenant, dialect: Dialect, state: str) -> None:
    job_id = owner.job(state, dialect).id
    for cursor, order in product(("after={}", "before={}", "after={0}&before={0}"), ("asc", "desc")):
        query = f"order={order}&{cursor}"
        theirs, nobodys = (listed(site, dialect, query.format(each)) for each in (job_id, NEVER_WAS))
        assert theirs.status == 400, cursor
        assert appearance(theirs) == appearance(nobodys), cursor


@both
def test_no_filter_finds_what_is_anothers(site: Site, owner: Tenant, dialect: Dialect) -> None:
    """The site's own key has no job of that kind; its owner finds them all."""
    statuses = ("queued", "in_progress", "completed", "failed", "cancelled", "incomplete")
    who = f"metadata[who]={CANARY}"
    for query in (who, *(f"{who}&status={status}" for status in statuses), f"{who}&model=gpt-4.1&created_after=0"):
        reply = listed(site, dialect, query)
        assert (reply.status, reply.json["data"], reply.json["has_more"]) == (200, [], False), query
    own = site.ask("GET", f"{dialect.path}?{who}", key=owner.key).json["data"]
    assert {job["id"] for job in own} == {job.id for job in owner.jobs}


@both
@every_state
def test_an_idempotency_key_names_ones_own_response_alone(
    site: Site, owner: Tenant, dialect: Dialect, state: str
) -> None:
    """Neither for the same request, which would be replayed, nor for another one, which would be refused."""
    named = [("Idempotency-Key", owner.job(state, dialect).name)]
    count = site.count()
    for body in (owner.body(dialect), dialect.body("another")):
        stranger = site.new_key()
        reply = site.ask("POST", dialect.path, body, named, key=stranger)
        assert reply.status == 200
        assert reply.header("idempotency-replayed") is None
        assert reply.json["id"] not in {job.id for job in owner.jobs}
    assert site.count() == count + 2


@both
@every_state
def test_the_owner_reads_it(site: Site, owner: Tenant, dialect: Dialect, state: str) -> None:
    """With the ETag that is of no use to others: without this the tests above could not fail."""
    job = owner.job(state, dialect)
    target = f"{dialect.path}/{job.id}"
    reply = site.ask("GET", target + "?stream=true" * (state == STREAMED), key=owner.key)
    assert (reply.status, CANARY in reply.text) == (200, True)
    again = site.ask("GET", target, headers=[("If-None-Match", job.etag)], key=owner.key)
    # The place in the queue, which is shown, may have changed.
    assert again.status in ({200, 304} if state == "queued" else {304})
