"""Conversations of the Responses API as messages of chat completions."""

from typing import Any

import pytest

from app.domain.jobs import Failure
from app.domain.ports import UpstreamError
from app.domain.requests import JSON, JobRequest, message
from app.upstreams.chat_messages import messages

CANARY = "canary-77aa"
IMAGE = {"type": "input_image", "image_url": "https://example.com/a.png"}
FILE = {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}


def sent(*items: JSON, **parameters: Any) -> list[JSON]:
    return messages(JobRequest(model="m", inputs=items, **parameters))


def part(said: str, kind: str = "input_text") -> JSON:
    return {"type": kind, "text": said}


def user(*parts: JSON) -> JSON:
    return {"type": "message", "role": "user", "content": list(parts)}


def call(name: str, call_id: str) -> JSON:
    item = {"type": "function_call", "id": "fc_1", "status": "completed"}
    return {**item, "name": name, "call_id": call_id, "arguments": f'{{"{name}": 1}}'}


def sent_call(name: str, call_id: str) -> JSON:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": f'{{"{name}": 1}}'}}


def output(call_id: str, said: Any) -> JSON:
    return {"type": "function_call_output", "call_id": call_id, "output": said}


THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}


def test_texts_are_joined_into_a_plain_one() -> None:
    assert sent(message("user", "a", "b"), message("assistant", "c", "d"), message("user")) == [
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c\n\nd"},
        {"role": "user", "content": ""},
    ]


def test_instructions_and_context_come_first() -> None:
    asked = sent(message("user", "now"), instructions="Be brief.", context=(message("user", "before"),))
    assert [(entry["role"], entry["content"]) for entry in asked] == [
        ("system", "Be brief."),
        ("user", "before"),
        ("user", "now"),
    ]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_developers_are_the_system(role: Any) -> None:
    assert sent(message(role, "a")) == [{"role": "system", "content": "a"}]


def test_images_and_files_stand_in_a_list() -> None:
    (entry,) = sent(user(part("look"), IMAGE, {**IMAGE, "detail": "low"}, FILE))
    assert entry["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "file", "file": {"file_data": FILE["file_data"], "filename": "a.pdf"}},
    ]


@pytest.mark.parametrize(
    "item",
    [
        user(part(CANARY), {"type": "input_file", "file_url": CANARY}),
        user({"type": "input_file", "file_id": CANARY, "filename": CANARY}),
        user({"type": "input_image", "file_id": CANARY, "image_url": None}),
        output("c", [part(CANARY), IMAGE]),
        {"type": "message", "role": "assistant", "content": [IMAGE]},
    ],
)
def test_what_chat_can_not_carry_is_refused(item: JSON) -> None:
    with pytest.raises(UpstreamError) as refused:
        sent(item)
    assert (refused.value.failure, refused.value.retryable) == (Failure.INVALID_PROMPT, False)
    assert CANARY not in refused.value.message
    assert refused.value.message.endswith(".")


def test_an_earlier_refusal_is_what_the_assistant_said() -> None:
    refused = {"type": "refusal", "refusal": "No."}
    item = {"type": "message", "role": "assistant", "content": [part("Hm.", "output_text"), refused]}
    assert sent(item) == [{"role": "assistant", "content": "Hm.\n\nNo."}]


def test_calls_side_by_side_are_one_message_with_the_text_before_them() -> None:
    assert sent(message("assistant", "I look."), call("f", "1"), call("g", "2"), output("1", "one")) == [
        {"role": "assistant", "content": "I look.", "tool_calls": [sent_call("f", "1"), sent_call("g", "2")]},
        {"role": "tool", "tool_call_id": "1", "content": "one"},
    ]


def test_calls_without_a_text() -> None:
    assert sent(message("user", "hi"), call("f", "1"))[1:] == [
        {"role": "assistant", "content": None, "tool_calls": [sent_call("f", "1")]}
    ]


def test_calls_after_an_output_are_another_message() -> None:
    asked = sent(call("f", "1"), output("1", "one"), call("g", "2"), output("2", "two"))
    assert [entry["role"] for entry in asked] == ["assistant", "tool", "assistant", "tool"]


@pytest.mark.parametrize("texts", [(), ("first",)])
def test_a_text_after_its_calls_does_not_part_them_from_their_outputs(texts: tuple[str, ...]) -> None:
    before = [message("assistant", said) for said in texts]
    asked = sent(*before, call("f", "1"), message("assistant", "second"), output("1", "one"))
    assert asked == [
        {"role": "assistant", "content": "\n\n".join([*texts, "second"]), "tool_calls": [sent_call("f", "1")]},
        {"role": "tool", "tool_call_id": "1", "content": "one"},
    ]


def test_outputs_may_be_texts() -> None:
    assert sent(output("1", [part("a"), part("b")])) == [{"role": "tool", "tool_call_id": "1", "content": "a\n\nb"}]


def test_what_only_its_own_server_understands_is_left_out() -> None:
    assert sent(call("f", "1"), THOUGHT, call("g", "2"), SEARCH) == sent(call("f", "1"), call("g", "2"))


def test_the_items_themselves_stay_as_they_are() -> None:
    items = (message("assistant", "a"), call("f", "1"))
    sent(*items)
    assert items == (message("assistant", "a"), call("f", "1"))


@pytest.mark.parametrize("items", [(), ({"type": "reasoning", "summary": []},), ({"type": "web_search_call"},)])
def test_a_conversation_of_nothing_that_can_be_sent_is_refused(items: tuple[JSON, ...]) -> None:
    with pytest.raises(UpstreamError) as refused:
        sent(*items)
    assert refused.value.failure is Failure.INVALID_PROMPT
    assert sent(*items, instructions="be brief") == [{"role": "system", "content": "be brief"}]
