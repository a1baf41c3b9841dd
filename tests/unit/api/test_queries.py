"""Query strings, from bytes to what the services take."""

import pytest

from app.api.queries import CreateQuery, GetQuery, InputItemsQuery, ListQuery, Query, read_query
from app.api.validation import validate
from app.domain.errors import InvalidRequestError
from app.domain.ids import new_id, public_id
from app.domain.jobs import JobFilter
from app.domain.lifecycle import Status
from tests.unit.api.jobs import CANARY, problem


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (b"", {}),
        (b"&&", {}),
        (b"limit=5&order=asc", {"limit": "5", "order": "asc"}),
        (b"limit=", {"limit": ""}),
        (b"limit", {"limit": ""}),
        (b"model=a%20b+c%2Bd", {"model": "a b c+d"}),
        ("model=é".encode(), {"model": "é"}),
        (b"metadata[k]=v&metadata%5Bl%5D=w", {"metadata": {"k": "v", "l": "w"}}),
        (b"metadata[a[b]]=v&metadata[]=w", {"metadata": {"a[b]": "v", "": "w"}}),
        (b"metadata[a%0Ab]=v", {"metadata": {"a\nb": "v"}}),
        (b"metadata=v", {"metadata": "v"}),
        # a list, as the SDKs write it, as most others do, and with its places
        (b"include[]=a&include%5B%5D=b", {"include": ["a", "b"]}),
        (b"include=a&include=b", {"include": ["a", "b"]}),
        (b"include[0]=a&include[1]=b", {"include": ["a", "b"]}),
        (b"include=a", {"include": ["a"]}),
        (b"include[x]=a", {"include[x]": "a"}),
        (b"limit[]=1", {"limit[]": "1"}),
    ],
)
def test_a_query_string(query: bytes, found: dict[str, object]) -> None:
    assert read_query(query) == found


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"limit=1&limit=2", "invalid_value"),
        (b"limit=1&limit=1", "invalid_value"),
        (b"metadata[k]=1&metadata[k]=2", "invalid_value"),
        (b"a=\xff", "invalid_encoding"),
        (b"a=%ff", "invalid_encoding"),
        (b"%ed%a0%80=a", "invalid_encoding"),
        (b"a=%00", "invalid_unicode"),
        (b"%00=a", "invalid_unicode"),
        (b"metadata[%00]=a", "invalid_unicode"),
        (b"include=%00", "invalid_unicode"),
    ],
)
def test_a_query_string_that_can_be_read_in_two_ways(query: bytes, code: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_query(query)
    assert (refused.value.error_code, refused.value.param) == (code, None)


def test_a_list_is_read_from_strings() -> None:
    job_id = new_id()
    wanted = validate(
        ListQuery,
        {
            "limit": "100",
            "order": "asc",
            "after": public_id(job_id),
            "status": "queued",
            "model": "m",
            "metadata": {"k": "v"},
            "created_after": "0",
            "created_before": "253402300799",
        },
    ).to_filter()
    assert (wanted.limit, wanted.order, wanted.after, wanted.before) == (100, "asc", job_id, None)
    assert (wanted.status, wanted.model, wanted.metadata) == (Status.QUEUED, "m", {"k": "v"})
    assert wanted.created_after
    assert wanted.created_before
    assert (wanted.created_after.timestamp(), wanted.created_before.timestamp()) == (0, 253402300799)


def test_an_empty_query_asks_for_the_defaults() -> None:
    assert validate(ListQuery, {}).to_filter() == JobFilter()
    assert validate(InputItemsQuery, {}) == InputItemsQuery(limit=20, order="desc", after=None)
    assert validate(GetQuery, {}) == GetQuery(wait=None, stream=False, starting_after=None)
    assert validate(CreateQuery, {}).wait is None


def test_what_the_official_sdks_send_to_get_a_response() -> None:
    query = b"include[]=message.output_text.logprobs&include_obfuscation=false&starting_after=0&stream=true"
    found = validate(GetQuery, read_query(query))
    assert (found.stream, found.starting_after, found.wait) == (True, 0, None)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("60", 60), ("2.5", 2.5)])
def test_how_long_to_wait(text: str, seconds: float) -> None:
    assert validate(GetQuery, {"wait": text}).wait == validate(CreateQuery, {"wait": text}).wait == seconds


def test_a_stream_may_be_asked_for_beyond_any_end() -> None:
    assert validate(GetQuery, {"starting_after": str(2**63 - 1)}).starting_after == 2**63 - 1


WRONG = [
    (ListQuery, "limit", "0", "out_of_range"),
    (ListQuery, "limit", "101", "out_of_range"),
    (ListQuery, "limit", CANARY, "invalid_type"),
    (ListQuery, "limit", "1.5", "invalid_type"),
    (ListQuery, "limit", "", "invalid_type"),
    (ListQuery, "limit", "9" * 5_000, "invalid_type"),
    (ListQuery, "order", CANARY, "invalid_value"),
    (ListQuery, "after", CANARY, "invalid_value"),
    (ListQuery, "after", "", "invalid_value"),
    (ListQuery, "before", "resp_67ccd2bed1ec8190", "invalid_value"),
    (ListQuery, "status", CANARY, "invalid_value"),
    (ListQuery, "model", "m" * 257, "string_too_long"),
    (ListQuery, "metadata", CANARY, "invalid_type"),
    (ListQuery, "created_after", "-1", "out_of_range"),
    (ListQuery, "created_before", "253402300800", "out_of_range"),
    (ListQuery, "created_before", CANARY, "invalid_type"),
    (ListQuery, "page", "2", "unknown_parameter"),
    (ListQuery, "wait", "2", "unknown_parameter"),
    (InputItemsQuery, "limit", "0", "out_of_range"),
    (InputItemsQuery, "limit", "101", "out_of_range"),
    (InputItemsQuery, "order", CANARY, "invalid_value"),
    (InputItemsQuery, "before", CANARY, "unknown_parameter"),
    (GetQuery, "wait", "-1", "out_of_range"),
    (GetQuery, "wait", "60.5", "out_of_range"),
    (GetQuery, "wait", "inf", "invalid_type"),
    (GetQuery, "wait", "nan", "invalid_type"),
    (GetQuery, "wait", CANARY, "invalid_type"),
    (GetQuery, "stream", CANARY, "invalid_type"),
    (GetQuery, "stream", "", "invalid_type"),
    (GetQuery, "starting_after", "-1", "out_of_range"),
    (GetQuery, "starting_after", str(2**63), "out_of_range"),
    (GetQuery, "starting_after", CANARY, "invalid_type"),
    (GetQuery, "starting_after", "1.5", "invalid_type"),
    (GetQuery, "limit", "1", "unknown_parameter"),
    (CreateQuery, "wait", "61", "out_of_range"),
    (CreateQuery, "stream", "true", "unknown_parameter"),
]


@pytest.mark.parametrize(("query", "name", "value", "code"), WRONG)
def test_a_wrong_query(query: type[Query], name: str, value: str, code: str) -> None:
    assert problem(query, {name: value}) == (code, name)


def test_a_wrong_list_in_a_query() -> None:
    good = "message.output_text.logprobs"
    for query in (GetQuery, InputItemsQuery):
        assert problem(query, {"include": [good, CANARY]}) == ("invalid_value", "include[1]")


def test_incomplete_is_a_kind_of_completed() -> None:
    assert validate(ListQuery, {"status": "incomplete"}).to_filter() == JobFilter(cut_off=True)
    assert validate(ListQuery, {"status": "completed"}).to_filter() == JobFilter(status=Status.COMPLETED)
