"""Pages of what a job was asked."""

from dataclasses import replace
from typing import Any, Literal

import pytest

from app.api.openai.input_items import present_input_items
from app.api.openai.schemas import CreateResponse
from app.api.validation import validate
from app.domain.errors import InvalidRequestError
from app.domain.events import item_id
from app.domain.requests import JSON, JobRequest
from tests import schemas
from tests.unit.api import jobs
from tests.unit.api.jobs import CANARY

IMAGE = {"type": "input_image", "image_url": "https://x.org/a.png"}
FILE = {"type": "input_file", "file_data": "QQ==", "filename": "a.txt"}
INPUT: list[JSON] = [
    {"role": "developer", "content": "d"},
    {"role": "user", "content": [{"type": "input_text", "text": "t"}, IMAGE, IMAGE | {"detail": "low"}, FILE]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "s"}, {"type": "refusal", "refusal": "no"}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "e"},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "r"}, IMAGE]},
    {"type": "function_call_output", "call_id": "c", "output": "r", "status": "incomplete"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
]


def asked(*items: JSON, context: tuple[JSON, ...] = ()) -> JobRequest:
    return replace(validate(CreateResponse, {"model": "m", "input": list(items)}).to_job_request(), context=context)


def page(request: JobRequest, **wanted: Any) -> JSON:
    return present_input_items(jobs.QUEUED, request, **wanted)


def texts(request: JobRequest, **wanted: Any) -> list[str]:
    return [item["content"][0]["text"] for item in page(request, **wanted)["data"]]


def test_every_item_satisfies_both_schemas() -> None:
    found = page(asked(*INPUT), order="asc")
    assert schemas.errors("openai", "ResponseItemList", found) == []
    for item in found["data"]:
        assert schemas.errors("openai", "ItemResource", item) == []
        if item["type"] != "web_search_call":
            assert schemas.errors("open", "ItemField", item) == []


def test_an_item_is_shown_with_what_it_left_open() -> None:
    found = page(asked(*INPUT), order="asc")["data"]
    assert found[1]["content"][1:3] == [IMAGE | {"detail": "auto"}, IMAGE | {"detail": "low"}]
    assert found[2]["content"][0] == {"type": "output_text", "text": "s", "annotations": [], "logprobs": []}
    assert found[5]["output"][1] == IMAGE | {"detail": "auto"}
    assert [item["status"] for item in found] == [*["completed"] * 6, "incomplete", "completed"]
    assert found[7] == INPUT[7]


def test_an_item_keeps_its_id_or_gets_one_that_stays() -> None:
    own = {"role": "user", "content": "", "id": "msg_own"}
    request = asked(own, {"role": "user", "content": ""}, INPUT[3], INPUT[4], INPUT[6])
    ids = [item["id"] for item in page(request, order="asc")["data"]]
    job_id = jobs.QUEUED.id
    made = [item_id(prefix, job_id, 0x8000 + index) for index, prefix in enumerate(["msg", "rs", "fc", "fco"], start=1)]
    assert ids == ["msg_own", *made]
    assert ids == [item["id"] for item in page(request)["data"]][::-1]


def test_a_made_id_is_no_output_items() -> None:
    made = {page(asked(item))["first_id"] for item in INPUT}
    assert not made & {item_id(prefix, jobs.QUEUED.id, index) for prefix in ("msg", "fc", "rs") for index in range(9)}


def test_an_id_that_comes_twice_is_used_once() -> None:
    """Otherwise a client that goes on after it would never get past it."""
    twice = [{"role": "user", "content": str(number), "id": "msg_x"} for number in range(5)]
    request, found, after = asked(*twice), [], None
    for _ in range(5):
        one = page(request, limit=1, order="asc", after=after)
        found.append(one["data"][0]["content"][0]["text"])
        after = one["last_id"]
    assert found == list("01234")


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100])
def test_pages_hold_everything_once_and_in_order(order: Literal["asc", "desc"], limit: int) -> None:
    request = asked(*({"role": "user", "content": str(number)} for number in range(7)))
    found, after, more = [], None, True
    while more:
        one = page(request, limit=limit, order=order, after=after)
        assert len(one["data"]) <= limit
        assert (one["first_id"], one["last_id"]) == (one["data"][0]["id"], one["data"][-1]["id"])
        found += [item["content"][0]["text"] for item in one["data"]]
        after, more = one["last_id"], one["has_more"]
    assert found == (list("0123456") if order == "asc" else list("6543210"))


def test_the_first_page_has_the_newest_twenty() -> None:
    request = asked(*({"role": "user", "content": str(number)} for number in range(30)))
    assert texts(request) == [str(number) for number in range(29, 9, -1)]


def test_the_chains_context_comes_first() -> None:
    context = asked({"role": "user", "content": "q"}).inputs + tuple(jobs.OUTPUT)
    assert texts(asked({"role": "user", "content": "new"}, context=context), order="asc") == ["q", "Here", "new"]


def test_nothing_comes_after_the_last() -> None:
    request = asked({"role": "user", "content": ""})
    empty = page(request, after=page(request)["last_id"])
    assert empty == {"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False}
    assert schemas.errors("openai", "ResponseItemList", empty) == []


@pytest.mark.parametrize("after", [CANARY, "", "msg_" + "0" * 36])
def test_after_an_unknown_item(after: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        page(asked({"role": "user", "content": ""}), after=after)
    assert (refused.value.error_code, refused.value.param) == ("invalid_value", "after")
    assert CANARY not in refused.value.message
