"""Messages of the Freddy dialect, and the canonical items they mean."""

from typing import Any

import pytest

from app.api.freddy.schemas import CreateResponse
from app.api.parameters import MAX_INPUTS
from app.api.validation import validate
from app.domain.requests import JSON
from tests.unit.api.jobs import CANARY, problem

URL = "https://x.org/a.png"
DATA = "data:image/png;base64,QQ=="
IMAGE = {"type": "input_image", "image_url": URL}
TEXT = {"type": "input_text", "text": "t"}


def parts(role: str = "user", **given: Any) -> list[JSON]:
    body = {"model": "m", "inputs": [{"role": role, **given}]}
    (item,) = validate(CreateResponse, body).to_job_request().inputs
    content: list[JSON] = item.pop("content")
    assert item == {"type": "message", "role": role}
    return content


@pytest.mark.parametrize(("role", "kind"), [("user", "input"), ("system", "input"), ("assistant", "output")])
def test_texts_are_said_or_heard(role: str, kind: str) -> None:
    said = [{"type": f"{kind}_text", "text": text} for text in ("a", "")]
    assert parts(role, texts=[{"text": "a"}, {"text": ""}]) == said
    assert parts(role, texts=[{"text": "a", "type": "text"}, {"text": "", "type": None}]) == said
    assert parts(role, content=["a", ""]) == said
    assert parts(role, content="a") == said[:1]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ("t", TEXT),
        ({"text": "t"}, TEXT),
        ({"type": "text", "text": "t"}, TEXT),
        ({"type": "input_text", "text": "t"}, TEXT),
        ({"type": "output_text", "text": "t"}, TEXT),
        ({"url": URL}, IMAGE),
        ({"type": "image", "url": URL}, IMAGE),
        ({"type": "input_image", "image_url": URL}, IMAGE),
        ({"type": "image_url", "image_url": {"url": URL}}, IMAGE),
        ({"image_url": URL}, IMAGE),
        ({"data": DATA}, IMAGE | {"image_url": DATA}),
        ({"type": "image", "data": DATA, "url": None, "file_id": None}, IMAGE | {"image_url": DATA}),
        ({"type": "image", "url": URL, "detail": "low"}, IMAGE | {"detail": "low"}),
        ({"type": "image_url", "image_url": {"url": URL, "detail": "high"}}, IMAGE | {"detail": "high"}),
    ],
)
def test_every_kind_of_block(block: Any, part: JSON) -> None:
    assert parts(content=["first", block]) == [{"type": "input_text", "text": "first"}, part]


def test_images_come_after_the_texts() -> None:
    images = [{"url": URL}, {"data": DATA}]
    assert parts(texts=[{"text": "t"}], images=images) == [TEXT, IMAGE, IMAGE | {"image_url": DATA}]
    assert parts(images=images[:1]) == [IMAGE]


def test_what_is_empty_is_not_there() -> None:
    nothing: JSON = {"images": [], "files": [], "tool_call_id": None, "id": None}
    assert parts(texts=[{"text": "t"}], content=None, **nothing) == [TEXT]
    assert parts(content="t", texts=None, **nothing) == [TEXT]


def test_a_message_keeps_its_id() -> None:
    body = {"model": "m", "inputs": [{"role": "user", "content": "t", "id": "msg_1"}]}
    assert validate(CreateResponse, body).to_job_request().inputs[0]["id"] == "msg_1"


BLOCK = "inputs[0].content[1]"
WRONG: list[tuple[JSON, str, str]] = [
    ({}, "missing_required_parameter", "inputs[0].role"),
    ({"role": CANARY, "content": ""}, "invalid_value", "inputs[0].role"),
    ({"role": "User", "content": ""}, "invalid_value", "inputs[0].role"),
    ({"role": "developer", "content": ""}, "invalid_value", "inputs[0].role"),
    ({"role": "tool", "content": ""}, "invalid_value", "inputs[0].role"),
    ({"role": "user"}, "invalid_value", "inputs[0]"),
    ({"role": "user", "texts": None, "content": None, "images": None}, "invalid_value", "inputs[0]"),
    ({"role": "user", "images": []}, "invalid_value", "inputs[0]"),
    ({"role": "user", "texts": []}, "missing_required_parameter", "inputs[0].texts"),
    ({"role": "user", "texts": [{}]}, "missing_required_parameter", "inputs[0].texts[0].text"),
    ({"role": "user", "texts": [{"text": 1}]}, "invalid_type", "inputs[0].texts[0].text"),
    ({"role": "user", "texts": [{"text": "", "type": CANARY}]}, "invalid_value", "inputs[0].texts[0].type"),
    ({"role": "user", "texts": CANARY}, "invalid_type", "inputs[0].texts"),
    ({"role": "user", "texts": [{"text": ""}], "content": ""}, "invalid_value", "inputs[0]"),
    ({"role": "user", "images": [{"url": URL}], "content": ""}, "invalid_value", "inputs[0]"),
    ({"role": "user", "images": [{}]}, "invalid_value", "inputs[0].images[0]"),
    ({"role": "user", "images": [{"url": URL, "data": DATA}]}, "invalid_value", "inputs[0].images[0]"),
    ({"role": "user", "images": [{"url": f"ftp://{CANARY}"}]}, "invalid_value", "inputs[0].images[0].url"),
    ({"role": "user", "images": [{"data": URL}]}, "invalid_value", "inputs[0].images[0].data"),
    ({"role": "user", "images": [{"data": "QQ=="}]}, "invalid_value", "inputs[0].images[0].data"),
    ({"role": "user", "images": [{"fileId": CANARY}]}, "unsupported_parameter", "inputs[0].images[0].fileId"),
    ({"role": "assistant", "images": [{"url": URL}]}, "invalid_value", "inputs[0]"),
    ({"role": "assistant", "content": ["a", {"url": URL}]}, "invalid_value", "inputs[0]"),
    ({"role": "user", "content": []}, "missing_required_parameter", "inputs[0].content"),
    ({"role": "user", "content": {"text": CANARY}}, "invalid_type", "inputs[0].content"),
    ({"role": "user", "content": ["", 5]}, "invalid_type", BLOCK),
    ({"role": "user", "content": ["", {}]}, "missing_required_parameter", f"{BLOCK}.text"),
    ({"role": "user", "content": ["", {"type": CANARY}]}, "invalid_value", f"{BLOCK}.type"),
    ({"role": "user", "content": ["", {"type": "file", "file_id": CANARY}]}, "unsupported_parameter", f"{BLOCK}.type"),
    (
        {"role": "user", "content": ["", {"type": "image", "file_id": CANARY}]},
        "unsupported_parameter",
        f"{BLOCK}.file_id",
    ),
    ({"role": "user", "content": ["", {"image_url": 5}]}, "invalid_type", f"{BLOCK}.image_url"),
    ({"role": "user", "content": ["", {"image_url": {}}]}, "missing_required_parameter", f"{BLOCK}.image_url.url"),
    (
        {"role": "user", "content": ["", {"image_url": {"url": CANARY}}]},
        "invalid_value",
        f"{BLOCK}.image_url.url",
    ),
    ({"role": "user", "content": ["", {"text": "", "x": CANARY}]}, "unknown_parameter", f"{BLOCK}.x"),
    ({"role": "user", "content": "", "files": [{"fileId": CANARY}]}, "unsupported_parameter", "inputs[0].files"),
    ({"role": "user", "content": "", "tool_call_id": CANARY}, "unsupported_parameter", "inputs[0].tool_call_id"),
    ({"role": "user", "content": "", "name": CANARY}, "unknown_parameter", "inputs[0].name"),
]


@pytest.mark.parametrize(("message", "code", "param"), WRONG)
def test_a_wrong_message(message: JSON, code: str, param: str) -> None:
    assert problem(CreateResponse, {"model": "m", "inputs": [message]}) == (code, param)


def test_too_many_of_anything() -> None:
    many = MAX_INPUTS + 1
    for inputs, param in (
        ([{"role": "user", "content": ""}] * many, "inputs"),
        ([{"role": "user", "texts": [{"text": ""}] * many}], "inputs[0].texts"),
        ([{"role": "user", "images": [{"url": URL}] * many}], "inputs[0].images"),
        ([{"role": "user", "content": [""] * many}], "inputs[0].content"),
    ):
        assert problem(CreateResponse, {"model": "m", "inputs": inputs}) == ("array_too_long", param)
