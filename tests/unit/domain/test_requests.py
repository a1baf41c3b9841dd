"""The canonical request, and how it is stored: in the row's columns, its parameters, and its conversation."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.requests import JobRequest, message

numbers = st.floats(allow_nan=False, allow_infinity=False)
items = st.builds(
    lambda role, texts: message(role, *texts),
    role=st.sampled_from(["system", "developer", "user", "assistant"]),
    texts=st.lists(st.text(), max_size=4),
)
objects = st.dictionaries(st.text(), st.text() | st.booleans(), min_size=1, max_size=3)
requests = st.builds(
    JobRequest,
    model=st.text(),
    inputs=st.lists(items, max_size=4).map(tuple),
    context=st.lists(items, max_size=4).map(tuple),
    instructions=st.none() | st.text(),
    temperature=st.none() | numbers,
    top_logprobs=st.none() | st.integers(),
    tools=st.lists(objects, max_size=3).map(tuple),
    tool_choice=st.none() | st.text() | objects,
    parallel_tool_calls=st.none() | st.booleans(),
    text=st.none() | objects,
    include=st.lists(st.text(), max_size=3).map(tuple),
    service_tier=st.none() | st.sampled_from(["auto", "default", "flex", "priority"]),
    metadata=st.dictionaries(st.text(), st.text(), max_size=4),
    background=st.booleans(),
    stream=st.booleans(),
    store=st.booleans(),
)
REQUEST = JobRequest("m", (message("user", "hi"),))


def stored(value: Any) -> Any:
    return json.loads(json.dumps(value))


def restored(request: JobRequest) -> JobRequest:
    """The request as a worker gets it: what has a column of its own comes from there."""
    columns = {name: getattr(request, name) for name in ("metadata", "background", "stream", "store")}
    return JobRequest.restore(request.model, stored(request.parameters()), stored(request.items()), **columns)


@given(requests)
def test_a_request_survives_its_stored_form(request: JobRequest) -> None:
    assert restored(request) == request


def test_parameters_that_were_not_given_are_not_stored() -> None:
    assert REQUEST.parameters() == {}
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    assert REQUEST.items() == {"inputs": [said]}


def test_the_parameters_hold_nothing_of_the_conversation() -> None:
    """They are read with every poll."""
    full = JobRequest("m", REQUEST.inputs, context=REQUEST.inputs, instructions="be brief", metadata={"a": "b"})
    assert full.parameters() == {"instructions": "be brief"}


@pytest.mark.parametrize("name", ["temperature", "top_p", "presence_penalty", "top_logprobs", "max_output_tokens"])
def test_a_zero_is_given(name: str) -> None:
    given: dict[str, Any] = {name: 0}
    request = JobRequest("m", (), **given)
    assert request.parameters() == given
    assert getattr(restored(request), name) == 0


def test_false_is_given() -> None:
    request = JobRequest("m", (), parallel_tool_calls=False)
    assert restored(request).parallel_tool_calls is False


def test_the_context_comes_first() -> None:
    request = JobRequest("m", (message("user", "and now?"),), context=(message("assistant", "before"),))
    assert request.conversation == (message("assistant", "before"), message("user", "and now?"))


def test_what_an_assistant_says_is_output() -> None:
    assert message("assistant", "a", "b")["content"] == [
        {"type": "output_text", "text": "a"},
        {"type": "output_text", "text": "b"},
    ]
