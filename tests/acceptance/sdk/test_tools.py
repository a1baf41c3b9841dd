"""The official SDK's tools and structured output, and conversations of more than one turn."""

from typing import Any
from uuid import uuid4

import pytest
from openai import OpenAI, pydantic_function_tool
from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner
from openai.types.responses import (
    FunctionToolParam,
    ParsedResponseFunctionToolCall,
    ResponseFunctionToolCall,
    ResponseInputItemParam,
)
from pydantic import BaseModel

from tests.acceptance.sdk.answers import MODEL
from tests.acceptance.sdk.conftest import synchronous
from tests.acceptance.sdk.witness import Witness
from tests.cluster import Client
from tests.upstream.client import MockUpstream

ASK = '[[tool Weather {"city": "Bern"}]]'


class Weather(BaseModel):
    """The arguments of a tool."""

    city: str


class Recipe(BaseModel):
    """What parse() makes of the model's text."""

    dish: str
    minutes: int


WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "Weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


def test_a_pydantic_model_is_parsed(openai: OpenAI, upstream: MockUpstream) -> None:
    mark = uuid4().hex
    prompt = f'{mark} [[text {{"dish": "Rösti", "minutes": 40}}]]'
    response = openai.responses.parse(model=MODEL, input=prompt, text_format=Recipe)
    assert response.output_parsed == Recipe(dish="Rösti", minutes=40)
    (sent,) = upstream.bodies(mark)
    schema = sent["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("Recipe", True)
    assert schema["schema"]["required"] == ["dish", "minutes"]


def test_a_stream_is_parsed(openai: OpenAI) -> None:
    prompt = '[[text {"dish": "Rösti", "minutes": 40}]]'
    with openai.responses.stream(model=MODEL, input=prompt, text_format=Recipe) as stream:
        parsed = [event.parsed for event in stream if event.type == "response.output_text.done"]
        final = stream.get_final_response()
    assert parsed == [final.output_parsed] == [Recipe(dish="Rösti", minutes=40)]


def test_arguments_of_a_tool_are_parsed(openai: OpenAI, upstream: MockUpstream) -> None:
    mark = uuid4().hex
    tools: Any = [pydantic_function_tool(Weather)]
    response = openai.responses.parse(model=MODEL, input=f"{mark} {ASK}", tools=tools, tool_choice="required")
    (call,) = response.output
    assert isinstance(call, ParsedResponseFunctionToolCall)
    assert call.parsed_arguments == Weather(city="Bern")
    (sent,) = upstream.bodies(mark)
    assert (sent["tools"][0]["function"]["name"], sent["tool_choice"]) == ("Weather", "required")


def test_the_second_turn_names_the_first(openai: OpenAI, upstream: MockUpstream) -> None:
    mark = uuid4().hex
    first = openai.responses.create(model=MODEL, input=ASK, tools=[WEATHER])
    call = _call(first.output)
    second = openai.responses.create(
        model=MODEL,
        previous_response_id=first.id,
        input=[_result(call), {"role": "user", "content": mark}],
        tools=[WEATHER],
    )
    assert second.previous_response_id == first.id
    assert second.output_text == f"echo: {mark}"
    _expect_both_turns(upstream, mark, call.call_id)


def test_the_second_turn_brings_the_first_along(openai: OpenAI, upstream: MockUpstream) -> None:
    mark = uuid4().hex
    asked: ResponseInputItemParam = {"role": "user", "content": ASK}
    first = openai.responses.create(model=MODEL, input=[asked], tools=[WEATHER], store=False)
    said: list[Any] = [item.to_dict() for item in first.output]
    call = _call(first.output)
    second = openai.responses.create(
        model=MODEL, input=[asked, *said, _result(call), {"role": "user", "content": mark}], tools=[WEATHER]
    )
    assert second.output_text == f"echo: {mark}"
    _expect_both_turns(upstream, mark, call.call_id)


def test_reasoning_and_text_of_an_earlier_turn_are_taken_back(openai: OpenAI) -> None:
    first = openai.responses.create(model=MODEL, input="[[reasoning Think first.]] one")
    second = openai.responses.create(model=MODEL, input="two", previous_response_id=first.id)
    said: list[Any] = [item.to_dict() for item in second.output]
    third = openai.responses.create(model=MODEL, input=[*said, {"role": "user", "content": "three"}])
    assert third.output_text == "echo: three"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_sdks_own_loop_runs_the_tools(shared: Client, witness: Witness, stream: bool) -> None:
    """It takes nothing for granted: what it is sent must hold together, in each turn and across them."""
    asked: list[dict[str, object]] = []

    def weather(arguments: dict[str, object]) -> str:
        asked.append(arguments)
        return "sunny"

    runner = ResponsesToolRunner(functions=[RegisteredFunction(WEATHER, weather)])
    prompt = f"[[reasoning Think first.]] {ASK}"
    with synchronous(witness, shared.url, shared.key) as client:
        turns = runner.iterate(client, {"model": MODEL, "input": prompt}, stream=stream, eager=stream)
        next(turns).append_user_text("thanks")
        last = next(turns)
    assert asked == [{"city": "Bern"}]
    assert last.final
    assert last.response.output_text == "echo: thanks"


def _call(output: Any) -> ResponseFunctionToolCall:
    (call,) = output
    assert isinstance(call, ResponseFunctionToolCall)
    return call


def _result(call: ResponseFunctionToolCall) -> ResponseInputItemParam:
    return {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}


def _expect_both_turns(upstream: MockUpstream, mark: str, call_id: str) -> None:
    (sent,) = upstream.bodies(mark)
    asked, called, answered, last = sent["messages"]
    assert [message["role"] for message in (asked, called, answered, last)] == ["user", "assistant", "tool", "user"]
    assert called["tool_calls"][0]["id"] == answered["tool_call_id"] == call_id
    assert answered["content"] == "sunny"
