"""Queries: of lists, of input items, and of streams that are taken up."""

import pytest

from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect, both
from tests.acceptance.bad_inputs.raw import Connection
from tests.acceptance.bad_inputs.routes import NEVER_WAS
from tests.acceptance.bad_inputs.site import CANARY, Error, Site

IRE = "invalid_request_error"
DONE = b"data: [DONE]\n\n"

# query: code, param
BAD: dict[str, tuple[str, str | None]] = {
    "limit=0": ("out_of_range", "limit"),
    "limit=-1": ("out_of_range", "limit"),
    "limit=101": ("out_of_range", "limit"),
    "limit=9223372036854775808": ("out_of_range", "limit"),
    "limit=abc": ("invalid_type", "limit"),
    "limit=1.5": ("invalid_type", "limit"),
    "limit=": ("invalid_type", "limit"),
    f"limit={CANARY}": ("invalid_type", "limit"),
    "limit=1&limit=2": ("invalid_value", None),
    f"order={CANARY}": ("invalid_value", "order"),
    f"{CANARY}=%00": ("invalid_unicode", None),
    "limit=%00": ("invalid_unicode", None),
}
UNKNOWN_CURSORS = [NEVER_WAS, CANARY, "", "%F0%9F%98%80", "x" * 300]


def refused(site: Site, target: str) -> Error:
    return site.refuses(site.request("GET", target))


@both
def test_of_a_list(site: Site, dialect: Dialect) -> None:
    found = {query: refused(site, f"{dialect.path}?{query}") for query in BAD}
    assert found == {query: (400, IRE, *expected) for query, expected in BAD.items()}


@both
def test_of_a_list_after_what_is_not_there(site: Site, dialect: Dialect) -> None:
    theirs = site.create(dialect, key=site.new_key())
    for name in ("after", "before"):
        for cursor in (theirs, *UNKNOWN_CURSORS):
            status, kind, _, param = refused(site, f"{dialect.path}?{name}={cursor}")
            assert (status, kind, param) == (400, IRE, name), cursor
        unknown, foreign = (site.ask("GET", f"{dialect.path}?{name}={cursor}") for cursor in (NEVER_WAS, theirs))
        assert unknown.body == foreign.body


def test_of_input_items(site: Site) -> None:
    target = f"{OPENAI.path}/{site.create(OPENAI)}/input_items"
    found = {query: refused(site, f"{target}?{query}") for query in BAD}
    assert found == {query: (400, IRE, *expected) for query, expected in BAD.items()}


def test_of_input_items_after_what_is_not_there(site: Site) -> None:
    target = f"{OPENAI.path}/{site.create(OPENAI)}/input_items"
    (other,) = site.ask("GET", f"{OPENAI.path}/{site.create(OPENAI)}/input_items").json["data"]
    for cursor in (other["id"], *UNKNOWN_CURSORS):
        status, kind, _, param = refused(site, f"{target}?after={cursor}")
        assert (status, kind, param) == (400, IRE, "after"), cursor


@both
@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("-1", "out_of_range"),
        ("9223372036854775808", "out_of_range"),
        ("abc", "invalid_type"),
        ("1.5", "invalid_type"),
        ("1e3", "invalid_type"),
        ("", "invalid_type"),
        (CANARY, "invalid_type"),
    ],
)
def test_of_a_stream_after_what_is_no_number(site: Site, dialect: Dialect, value: str, code: str) -> None:
    job_id = site.create_stream(dialect)
    expected = (400, IRE, code, "starting_after")
    assert refused(site, f"{dialect.path}/{job_id}?stream=true&starting_after={value}") == expected


@both
def test_of_a_stream_beyond_its_end(site: Site, dialect: Dialect) -> None:
    job_id = site.create_stream(dialect)
    site.complete(job_id)
    whole = site.ask("GET", f"{dialect.path}/{job_id}?stream=true").body
    last = whole.count(b"event: ") - 1
    assert last >= 3
    for after in (last, last + 1, 2**63 - 1):
        reply = site.ask("GET", f"{dialect.path}/{job_id}?stream=true&starting_after={after}")
        assert (reply.status, reply.body) == (200, DONE), after
        assert reply.header("content-type") == "text/event-stream; charset=utf-8"
    reply = site.ask("GET", f"{dialect.path}/{job_id}?stream=true&starting_after={last - 1}")
    assert reply.body.count(b"event: ") == 1
    assert whole.endswith(reply.body)


@both
def test_of_a_stream_beyond_what_has_happened_yet(site: Site, dialect: Dialect) -> None:
    job_id = site.create_stream(dialect)
    site.start(job_id)
    with Connection(site.url) as connection:
        connection.send(site.request("GET", f"{dialect.path}/{job_id}?stream=true&starting_after={2**63 - 1}"))
        assert site.ask("POST", f"{dialect.path}/{job_id}/cancel").status == 200
        reply = connection.reply()
    assert (reply.status, reply.body) == (200, DONE)


@both
def test_of_a_stream_that_never_was(site: Site, dialect: Dialect) -> None:
    job_id = site.create(dialect)
    assert refused(site, f"{dialect.path}/{job_id}?stream=true") == (400, IRE, "not_a_stream", "stream")


def test_of_a_response(site: Site) -> None:
    for dialect in (FREDDY, OPENAI):
        job_id = site.create(dialect)
        for query, code, param in [
            ("wait=-1", "out_of_range", "wait"),
            ("wait=61", "out_of_range", "wait"),
            (f"wait={CANARY}", "invalid_type", "wait"),
            (f"stream={CANARY}", "invalid_type", "stream"),
            (f"nonsense={CANARY}", "unknown_parameter", "nonsense"),
        ]:
            assert refused(site, f"{dialect.path}/{job_id}?{query}") == (400, IRE, code, param), query
