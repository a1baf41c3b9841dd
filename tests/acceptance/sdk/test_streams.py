"""The official SDK's streams: their order, its helper that accumulates them, and the four ends."""

from itertools import pairwise
from uuid import uuid4

import pytest
from openai import OpenAI
from openai.types.responses import ResponseFunctionToolCall

from tests.acceptance.sdk.answers import MODEL, TEXT, shape, until_ended
from tests.upstream.client import MockUpstream

both_modes = pytest.mark.parametrize("background", [False, True], ids=["synchronous", "background"])


@both_modes
def test_a_text_comes_in_deltas(openai: OpenAI, background: bool) -> None:
    with openai.responses.create(
        model=MODEL,
        input="[[tokens 5 rate=50]]",
        stream=True,
        background=background,
        stream_options={"include_obfuscation": True},
    ) as stream:
        events = list(stream)
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert shape(events) == TEXT
    assert "".join(deltas) == "w1 w2 w3 w4 w5"
    end = events[-1]
    assert end.type == "response.completed"
    assert end.response.output_text == "w1 w2 w3 w4 w5"
    assert end.response == openai.responses.retrieve(end.response.id)


@both_modes
def test_the_helper_accumulates(openai: OpenAI, background: bool) -> None:
    with openai.responses.stream(model=MODEL, input="[[tokens 5 rate=50]]", background=background) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert final.output_text == snapshots[-1] == "w1 w2 w3 w4 w5"
    assert all(later.startswith(earlier) for earlier, later in pairwise(snapshots))


def test_arguments_of_a_function_come_in_deltas(openai: OpenAI) -> None:
    with openai.responses.stream(model=MODEL, input='[[tool weather {"city": "Bern"}]]') as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert shape(events)[3:-1] == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
    ]
    snapshots = [event.snapshot for event in events if event.type == "response.function_call_arguments.delta"]
    done = next(event for event in events if event.type == "response.function_call_arguments.done")
    (call,) = final.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert call.name == done.to_dict()["name"] == "weather"
    assert call.arguments == done.arguments == snapshots[-1] == '{"city": "Bern"}'


def test_reasoning_comes_before_the_text(openai: OpenAI) -> None:
    with openai.responses.stream(model=MODEL, input="[[reasoning First this.]] so") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert shape(events)[3:9] == [
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
    ]
    assert shape(events)[9:] == TEXT[3:]
    thought = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
    assert "".join(thought) == "First this."
    assert [item.type for item in final.output] == ["reasoning", "message"]


def test_a_refusal_comes_in_deltas(openai: OpenAI) -> None:
    with openai.responses.stream(model=MODEL, input="[[refusal I will not.]]") as stream:
        events = list(stream)
    assert shape(events)[3:-1] == [
        "response.output_item.added",
        "response.content_part.added",
        "response.refusal.delta",
        "response.refusal.done",
        "response.content_part.done",
        "response.output_item.done",
    ]
    refused = [event.delta for event in events if event.type == "response.refusal.delta"]
    assert "".join(refused) == "I will not."


def test_two_functions_are_told_apart(openai: OpenAI) -> None:
    prompt = '[[tool weather {"city": "Bern"}]] [[tool time {"zone": "CET"}]]'
    with openai.responses.stream(model=MODEL, input=prompt) as stream:
        final = stream.get_final_response()
    calls = [call for call in final.output if isinstance(call, ResponseFunctionToolCall)]
    assert [(call.name, call.arguments) for call in calls] == [
        ("weather", '{"city": "Bern"}'),
        ("time", '{"zone": "CET"}'),
    ]
    assert len({call.call_id for call in calls}) == 2


@both_modes
def test_a_cut_off_answer_ends_as_incomplete(openai: OpenAI, background: bool) -> None:
    with openai.responses.create(
        model=MODEL, input="[[tokens 3]] [[finish length]]", stream=True, background=background
    ) as stream:
        end = list(stream)[-1]
    assert end.type == "response.incomplete"
    assert end.response.status == "incomplete"
    assert end.response.incomplete_details
    assert end.response.incomplete_details.reason == "max_output_tokens"
    assert end.response.output_text == "w1 w2 w3"


@both_modes
@pytest.mark.parametrize(
    "prompt", ["[[status 400]]", "[[tokens 6]] [[stream-error]]"], ids=["at the start", "half way"]
)
def test_a_failure_ends_as_failed(openai: OpenAI, background: bool, prompt: str) -> None:
    with openai.responses.create(model="once", input=prompt, stream=True, background=background) as stream:
        end = list(stream)[-1]
    assert end.type == "response.failed"
    assert end.response.status == "failed"
    assert end.response.error
    assert end.response.error.code == "server_error"


def test_text_comes_while_it_is_made_and_a_cancel_ends_it(openai: OpenAI) -> None:
    with openai.responses.create(model=MODEL, input="[[tokens 2000 rate=20]]", stream=True, background=True) as stream:
        created = next(iter(stream))
        assert created.type == "response.created"
        next(event for event in stream if event.type == "response.output_text.delta")
        assert openai.responses.retrieve(created.response.id).status == "in_progress"
        openai.responses.cancel(created.response.id)
        end = list(stream)[-1]
    assert end.type == "response.failed"
    assert end.response.status == "cancelled"


def test_a_dropped_synchronous_stream_cancels_its_response(openai: OpenAI, upstream: MockUpstream) -> None:
    prompt = f"[[tokens 3]] [[hang]] {uuid4().hex}"
    with openai.responses.create(model=MODEL, input=prompt, stream=True) as stream:
        created = next(iter(stream))
        assert created.type == "response.created"
        upstream.wait_for_call(prompt, 30)
    assert until_ended(openai, created.response.id).status == "cancelled"
    upstream.wait_closed(prompt, 30)
