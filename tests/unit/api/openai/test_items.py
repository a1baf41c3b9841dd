"""Input items, and the canonical items they mean."""

from typing import Any

import pytest

from app.api.openai.schemas import CreateResponse
from app.api.parameters import MAX_INPUTS
from app.api.validation import validate
from app.domain.errors import InvalidRequestError
from app.domain.requests import JSON
from tests.unit.api.jobs import CANARY, problem

TEXT = {"type": "input_text", "text": "t"}
IMAGE = {"type": "input_image", "image_url": "https://x.org/a.png", "detail": "low"}
FILE = {"type": "input_file", "file_data": "QQ==", "filename": "a.txt"}
SAID = {"type": "output_text", "text": "s"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "r"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}]}


def item(given: JSON) -> JSON:
    found = validate(CreateResponse, {"model": "m", "input": [given]}).to_job_request()
    assert len(found.inputs) == 1
    return found.inputs[0]


def message(role: str, *parts: JSON, **more: Any) -> JSON:
    return {"type": "message", "role": role, "content": list(parts), **more}


@pytest.mark.parametrize("role", ["user", "system", "developer"])
def test_a_plain_message(role: str) -> None:
    plain = {"role": role, "content": "t"}
    assert item(plain) == item({"type": "message", **plain}) == message(role, TEXT)
    assert item({**plain, "content": ""}) == message(role, {"type": "input_text", "text": ""})


def test_what_the_assistant_said_is_output() -> None:
    assert item({"role": "assistant", "content": "s"}) == message("assistant", SAID)
    assert item(message("assistant", {"type": "input_text", "text": "s"})) == message("assistant", SAID)
    assert item(message("assistant")) == message("assistant")


@pytest.mark.parametrize(
    "same",
    [
        message("user", TEXT, IMAGE, FILE),
        message("user", {"type": "input_image", "image_url": "http://x.org"}),
        message("user", {"type": "input_image", "image_url": "data:image/svg+xml;base64,PHN2Zz4="}),
        message("user", {"type": "input_image", "image_url": "DATA:image/PNG;base64,QQ=="}),
        message("user", {"type": "input_file", "file_url": "https://x.org/a.pdf", "detail": "high"}),
        message("system", TEXT, id="msg_1", status="completed"),
        message("assistant", SAID, {"type": "refusal", "refusal": "no"}, id="msg_1", phase="commentary"),
        message("assistant", SAID | {"annotations": [{"type": "x", "y": None}], "logprobs": []}),
        CALL,
        CALL | {"id": "fc_1", "status": "incomplete", "namespace": "n", "caller": {"type": "direct"}},
        RESULT,
        RESULT | {"output": [TEXT, IMAGE, FILE], "id": "fco_1", "status": "completed"},
        RESULT | {"output": "", "name": "f", "namespace": "n", "caller": {"type": "direct"}},
        THOUGHT,
        THOUGHT
        | {"encrypted_content": "e", "content": [{"type": "reasoning_text", "text": "t"}], "status": "completed"},
        {"type": "reasoning", "summary": []},
        {"type": "web_search_call", "id": "ws_1", "action": {"query": None}, "status": "searching", "x": None},
    ],
    ids=lambda value: value["type"],
)
def test_an_item_that_is_canonical_already(same: JSON) -> None:
    assert item(same) == same


def test_what_only_the_model_servers_cache_heeds_is_left_out() -> None:
    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    assert item(message("user", TEXT | mark, IMAGE | mark, FILE | mark)) == message("user", TEXT, IMAGE, FILE)


def test_null_is_the_same_as_left_out() -> None:
    """The SDKs' own models are often dumped whole, with all their nulls."""
    none = dict.fromkeys(["id", "status"])
    assert item({"role": "user", "content": "t", "phase": "final_answer", **none}) == message("user", TEXT)
    assert item(message("assistant", SAID | dict.fromkeys(["annotations", "logprobs"]), **none)) == message(
        "assistant", SAID
    )
    image = {"type": "input_image", "image_url": "https://x.org"}
    assert item(message("user", image | dict.fromkeys(["detail", "file_id"]))) == message("user", image)
    assert item(message("user", FILE | dict.fromkeys(["file_url", "file_id", "detail"]))) == message("user", FILE)
    assert item(CALL | none | dict.fromkeys(["namespace", "caller"])) == CALL
    assert item(RESULT | none | dict.fromkeys(["name", "namespace", "caller"])) == RESULT
    assert item(THOUGHT | dict.fromkeys(["encrypted_content", "content", "status"])) == THOUGHT


IMAGE_PART = "input[1].content[1]"
WRONG: list[tuple[Any, str, str]] = [
    (CANARY, "invalid_type", "input[1]"),
    (None, "invalid_type", "input[1]"),
    ([], "invalid_type", "input[1]"),
    ({"content": CANARY}, "missing_required_parameter", "input[1].role"),
    ({"role": CANARY, "content": ""}, "invalid_value", "input[1].role"),
    ({"role": "tool", "content": ""}, "invalid_value", "input[1].role"),
    ({"role": None, "content": ""}, "invalid_value", "input[1].role"),
    ({"role": ["user"], "content": ""}, "invalid_value", "input[1].role"),
    ({"role": "user"}, "missing_required_parameter", "input[1].content"),
    ({"role": "user", "content": None}, "invalid_type", "input[1].content"),
    ({"role": "user", "content": TEXT}, "invalid_type", "input[1].content"),
    ({"role": "user", "content": []}, "missing_required_parameter", "input[1].content"),
    ({"role": "user", "content": "", "name": CANARY}, "unknown_parameter", "input[1].name"),
    ({"type": CANARY, "role": "user", "content": ""}, "invalid_value", "input[1].type"),
    ({"type": 5, "role": "user", "content": ""}, "invalid_value", "input[1].type"),
    ({"type": "computer_call_output", "call_id": "c"}, "invalid_value", "input[1].type"),
    ({"type": "item_reference", "id": CANARY}, "unsupported_parameter", "input[1].type"),
    ({"id": CANARY}, "unsupported_parameter", "input[1].type"),
    ({"id": CANARY, "type": None}, "unsupported_parameter", "input[1].type"),
    (message("user", TEXT, CANARY), "invalid_type", IMAGE_PART),  # type: ignore[arg-type]
    (message("user", TEXT, {}), "missing_required_parameter", IMAGE_PART + ".type"),
    (message("user", TEXT, {"type": CANARY}), "invalid_value", IMAGE_PART + ".type"),
    (message("user", TEXT, SAID), "invalid_value", IMAGE_PART + ".type"),
    (message("user", TEXT, {"type": "input_text"}), "missing_required_parameter", IMAGE_PART + ".text"),
    (message("user", TEXT, TEXT | {"text": 1}), "invalid_type", IMAGE_PART + ".text"),
    (message("user", TEXT, {"type": "input_image"}), "missing_required_parameter", IMAGE_PART + ".image_url"),
    (
        message("user", TEXT, {"type": "input_image", "file_id": CANARY}),
        "unsupported_parameter",
        IMAGE_PART + ".file_id",
    ),
    (message("user", TEXT, IMAGE | {"file_id": CANARY}), "unsupported_parameter", IMAGE_PART + ".file_id"),
    (message("user", TEXT, IMAGE | {"detail": CANARY}), "invalid_value", IMAGE_PART + ".detail"),
    (message("user", TEXT, {"type": "input_file"}), "invalid_value", IMAGE_PART),
    (message("user", TEXT, FILE | {"file_url": "https://x.org"}), "invalid_value", IMAGE_PART),
    (message("user", TEXT, FILE | {"file_data": ""}), "missing_required_parameter", IMAGE_PART + ".file_data"),
    (message("user", TEXT, FILE | {"file_id": CANARY}), "unsupported_parameter", IMAGE_PART + ".file_id"),
    (
        message("user", TEXT, {"type": "input_file", "file_url": f"file:///{CANARY}"}),
        "invalid_value",
        IMAGE_PART + ".file_url",
    ),
    (message("assistant", SAID, IMAGE), "invalid_value", IMAGE_PART + ".type"),
    (message("assistant", SAID, {"type": "refusal"}), "missing_required_parameter", IMAGE_PART + ".refusal"),
    (message("assistant", SAID, SAID | {"parsed": None}), "unknown_parameter", IMAGE_PART + ".parsed"),
    (message("assistant", SAID, status=CANARY), "invalid_value", "input[1].status"),
    ({"type": "function_call"}, "missing_required_parameter", "input[1].call_id"),
    (CALL | {"call_id": ""}, "missing_required_parameter", "input[1].call_id"),
    (CALL | {"arguments": {}}, "invalid_type", "input[1].arguments"),
    (RESULT | {"output": 5}, "invalid_type", "input[1].output"),
    (RESULT | {"output": [TEXT, SAID]}, "invalid_value", "input[1].output[1].type"),
    ({"type": "function_call_output", "output": ""}, "missing_required_parameter", "input[1].call_id"),
    (THOUGHT | {"summary": [{"type": CANARY}]}, "invalid_value", "input[1].summary[0].type"),
    ({"type": "reasoning"}, "missing_required_parameter", "input[1].summary"),
]


@pytest.mark.parametrize(("wrong", "code", "param"), WRONG)
def test_a_wrong_item(wrong: Any, code: str, param: str) -> None:
    body = {"model": "m", "input": [message("user", TEXT), wrong]}
    assert problem(CreateResponse, body) == (code, param)


def test_the_message_names_every_role_and_every_type() -> None:
    for wrong, allowed in (
        ({"role": CANARY, "content": ""}, ["user", "assistant", "system", "developer"]),
        ({"type": CANARY}, ["message", "function_call", "function_call_output", "reasoning", "_call"]),
    ):
        with pytest.raises(InvalidRequestError) as refused:
            validate(CreateResponse, {"model": "m", "input": [wrong]})
        assert [word for word in allowed if f"'{word}'" not in refused.value.message] == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        CANARY,
        "ftp://x.org/a.png",
        "file:///etc/passwd",
        "//x.org/a.png",
        " https://x.org",
        "https://",
        "https:// x",
        "javascript:alert(1)",
        "data:text/html;base64,QQ==",
        "data:image/png,QQ==",
        "data:image/;base64,",
        "x\nhttps://x.org",
    ],
)
def test_an_address_that_is_no_images(url: str) -> None:
    body = {"model": "m", "input": [message("user", IMAGE | {"image_url": url})]}
    assert problem(CreateResponse, body) == ("invalid_value", "input[0].content[0].image_url")


def test_too_many_of_anything() -> None:
    for wrong, param in (
        ([{"role": "user", "content": ""}] * (MAX_INPUTS + 1), "input"),
        ([message("user", *[TEXT] * (MAX_INPUTS + 1))], "input[0].content"),
        ([message("assistant", *[SAID] * (MAX_INPUTS + 1))], "input[0].content"),
        ([RESULT | {"output": [TEXT] * (MAX_INPUTS + 1)}], "input[0].output"),
        ([THOUGHT | {"summary": [{"type": "summary_text", "text": ""}] * (MAX_INPUTS + 1)}], "input[0].summary"),
    ):
        assert problem(CreateResponse, {"model": "m", "input": wrong}) == ("array_too_long", param)
    validate(CreateResponse, {"model": "m", "input": [message("user", *[TEXT] * MAX_INPUTS)] * 2})
