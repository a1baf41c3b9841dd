"""What the OpenAI SDK makes of the mock's Responses API; its own validation of each event is the public schema."""

from typing import Any

import openai
import pytest
from openai.types.responses import Response

from tests.schemas import errors
from tests.upstream.client import MockUpstream

SCRIPTS = [
    "say hi",
    "[[reasoning one]] [[reasoning two]] [[text so]]",
    "[[raw-reasoning one]]",
    "[[refusal no way]]",
    "[[text Well,]] [[refusal no]]",
    '[[text I look.]] [[tool f {"a": 123456}]] [[tool g {}]] [[interleaved]]',
    "[[web-search]] [[text cited]]",
    "[[finish length]]",
    "[[failed code=rate_limit_exceeded]]",
]


def create(sdk: openai.OpenAI, prompt: str, **more: Any) -> Response:
    response: Response = sdk.responses.create(model="m", input=prompt, store=False, **more)
    return response


def events(sdk: openai.OpenAI, prompt: str, **more: Any) -> list[dict[str, Any]]:
    stream = sdk.responses.create(model="m", input=prompt, store=False, stream=True, **more)
    return [event.to_dict() for event in stream]


def test_echo_with_usage(sdk: openai.OpenAI) -> None:
    response = create(sdk, "write about AI")
    assert (response.output_text, response.status) == ("echo: write about AI", "completed")
    assert response.usage
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (3, 4, 7)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_sdk_puts_a_stream_together(sdk: openai.OpenAI, script: str) -> None:
    whole = create(sdk, script)
    with sdk.responses.stream(model="m", input=script, store=False) as stream:
        last = list(stream)[-1]
    assert last.type in {"response.completed", "response.incomplete", "response.failed"}
    ended = getattr(last, "response", None)
    assert isinstance(ended, Response)
    assert (ended.status, ended.output_text) == (whole.status, whole.output_text)
    assert [item.type for item in ended.output] == [item.type for item in whole.output]


@pytest.mark.parametrize("script", SCRIPTS)
def test_items_are_right_by_the_schema(sdk: openai.OpenAI, script: str) -> None:
    asked = ["message.output_text.logprobs", "reasoning.encrypted_content"]
    told = create(sdk, script, include=asked).to_dict()["output"]
    assert isinstance(told, list)
    assert [problem for item in told for problem in errors("openai", "OutputItem", item)] == []


def test_events_are_numbered_and_named(sdk: openai.OpenAI) -> None:
    told = events(sdk, "say hi")
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert told[0]["type"] == "response.created"
    raw = sdk.responses.with_raw_response.create(model="m", input="say hi", store=False, stream=True)
    body = raw.http_response.read().decode()
    assert [line[7:] for line in body.splitlines() if line.startswith("event: ")] == [event["type"] for event in told]


def test_arguments_in_pieces(sdk: openai.OpenAI) -> None:
    told = events(sdk, '[[tool f {"a": 123456}]] [[tool g {"b": 123456}]] [[interleaved]]')
    pieces = [(e["output_index"], e["delta"]) for e in told if e["type"].endswith("arguments.delta")]
    assert pieces == [(0, '{"a": 12'), (1, '{"b": 12'), (0, "3456}"), (1, "3456}")]


def test_an_error_in_a_stream(sdk: openai.OpenAI) -> None:
    told = events(sdk, "some words [[stream-error code=server_error]]")
    assert (told[-1]["type"], told[-1]["code"]) == ("error", "server_error")


def test_a_stream_without_an_end(sdk: openai.OpenAI) -> None:
    kinds = [event["type"] for event in events(sdk, "some words [[no-finish]]")]
    assert kinds[-1] == "response.output_item.done"


@pytest.mark.parametrize(
    ("directive", "error"),
    [("[[status 429]]", openai.RateLimitError), ("[[half]]", openai.APIConnectionError)],
)
def test_other_ends_are_those_of_chat(sdk: openai.OpenAI, directive: str, error: type[Exception]) -> None:
    for ask in (create, events):
        with pytest.raises(error):
            ask(sdk, directive)


@pytest.mark.parametrize("more", [{"store": True}, {}, {"store": False, "background": True}])
def test_nothing_is_kept(sdk: openai.OpenAI, more: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError, match="keeps nothing"):
        sdk.responses.create(model="m", input="hi", **more)


def test_bodies_are_kept_for_a_while(upstream: MockUpstream, sdk: openai.OpenAI, mark: str) -> None:
    create(sdk, f"{mark} 1", temperature=0)
    create(sdk, f"{mark} 2")
    assert [body["input"] for body in upstream.bodies(mark)] == [f"{mark} 1", f"{mark} 2"]
    assert upstream.bodies(f"{mark} 1")[0]["temperature"] == 0
    assert upstream.bodies("of nobody") == []
