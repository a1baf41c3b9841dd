"""What the chat upstream asks of a real server, and what is peculiar to answers of chat completions."""

from typing import Any

import pytest

from app.domain.jobs import Failure, Usage
from app.domain.requests import JSON, JobRequest, message
from app.settings import Settings
from app.upstreams.catalog import Catalog
from app.upstreams.chat import ChatUpstream
from app.upstreams.registry import UpstreamRegistry
from tests.integration.upstreams.conftest import Ask, Way, answered, failed, request
from tests.upstream.client import MockUpstream

TOOL = {"type": "function", "name": "look_up", "description": "Looks up.", "parameters": {"type": "object"}}
SENT_TOOL = {"type": "function", "function": {name: TOOL[name] for name in ("name", "description", "parameters")}}
OTHER = {"type": "function", "name": "other", "parameters": None, "strict": True}
SENT_OTHER = {"type": "function", "function": {"name": "other", "strict": True}}
SCHEMA = {"type": "json_schema", "name": "person", "schema": {"type": "object"}, "strict": True, "description": None}


@pytest.fixture
def either(chat: ChatUpstream) -> ChatUpstream:
    """Here, `ask` asks this one alone."""
    return chat


def sent(chat: ChatUpstream, upstream: MockUpstream, mark: str, **parameters: Any) -> JSON:
    """The body of a request beside its messages and model."""
    answered(chat, "complete", request(mark, **parameters))
    (body,) = upstream.bodies(mark)
    assert body.pop("messages") == [{"role": "user", "content": mark}]
    assert body.pop("model") == "real-name"
    return body


def test_only_what_was_asked_for_is_sent(chat: ChatUpstream, upstream: MockUpstream, mark: str) -> None:
    assert sent(chat, upstream, mark) == {}


def test_what_is_ours_is_not_sent(chat: ChatUpstream, upstream: MockUpstream, mark: str) -> None:
    ours: JSON = {
        "metadata": {"k": "v"},
        "service_tier": "flex",
        "previous_response_id": "resp_1",
        "truncation": "auto",
        "max_tool_calls": 3,
        "store": False,
        "background": True,
        "stream": True,
        "reasoning": {"summary": "auto"},
        "text": {"format": {"type": "text"}},
        "include": ("reasoning.encrypted_content",),
        "top_logprobs": 0,
    }
    assert sent(chat, upstream, mark, **ours) == {}


def test_a_stream_is_asked_for_with_its_usage(chat: ChatUpstream, upstream: MockUpstream, mark: str) -> None:
    answered(chat, "stream", request(mark))
    (body,) = upstream.bodies(mark)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        ({"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
        ({"presence_penalty": 1, "frequency_penalty": 0}, {"presence_penalty": 1, "frequency_penalty": 0}),
        ({"max_output_tokens": 7}, {"max_tokens": 7}),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
        ({"text": {"verbosity": "high"}}, {"verbosity": "high"}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": SCHEMA}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "person", "schema": {"type": "object"}, "strict": True},
                }
            },
        ),
        ({"include": ("message.output_text.logprobs",)}, {"logprobs": True}),
        ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        (
            {"user": "u", "safety_identifier": "s", "prompt_cache_key": "p"},
            {"user": "u", "safety_identifier": "s", "prompt_cache_key": "p"},
        ),
        ({"tools": (TOOL, OTHER)}, {"tools": [SENT_TOOL, SENT_OTHER]}),
        (
            {"tools": (TOOL,), "tool_choice": "required", "parallel_tool_calls": False},
            {"tools": [SENT_TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        ),
        (
            {"tools": (TOOL,), "tool_choice": {"type": "function", "name": "look_up"}},
            {"tools": [SENT_TOOL], "tool_choice": {"type": "function", "function": {"name": "look_up"}}},
        ),
        (
            {
                "tools": (TOOL, OTHER),
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "other"}],
                },
            },
            {"tools": [SENT_OTHER], "tool_choice": "required"},
        ),
        # Servers refuse these two when there is no tool.
        ({"tool_choice": "auto", "parallel_tool_calls": True}, {}),
    ],
)
def test_each_parameter(chat: ChatUpstream, upstream: MockUpstream, mark: str, parameters: JSON, body: JSON) -> None:
    assert sent(chat, upstream, mark, **parameters) == body


def test_the_limit_of_the_answer_goes_by_the_name_that_the_server_knows(
    upstream: MockUpstream, settings: Settings, mark: str
) -> None:
    server = {"base_url": upstream.base_url, "max_tokens_parameter": "max_completion_tokens"}
    catalog = Catalog.model_validate({"upstreams": {"u": server}, "models": {"*": {"upstream": "u"}}})
    chosen = UpstreamRegistry(catalog, settings).route("m").upstream
    assert isinstance(chosen, ChatUpstream)
    assert sent(chosen, upstream, mark, max_output_tokens=7) == {"max_completion_tokens": 7}


def test_a_whole_conversation(chat: ChatUpstream, upstream: MockUpstream, mark: str) -> None:
    asked = JobRequest(
        model="public-name",
        instructions="Be brief.",
        context=(message("user", "earlier"), message("assistant", "answer")),
        inputs=(message("user", mark),),
    )
    answered(chat, "complete", asked)
    (body,) = upstream.bodies(mark)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "earlier"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": mark},
    ]


def test_what_can_not_be_asked_is_refused_before_it_is_sent(
    chat: ChatUpstream, upstream: MockUpstream, mark: str, way: Way
) -> None:
    parts = [{"type": "input_text", "text": mark}, {"type": "input_file", "file_url": "http://example.com/f"}]
    item = {"type": "message", "role": "user", "content": parts}

    def ask(_: str, __: float) -> Any:
        return answered(chat, way, JobRequest(model="m", inputs=(item,)))

    error = failed(ask, "")
    assert (error.failure, error.retryable) == (Failure.INVALID_PROMPT, False)
    assert upstream.calls(mark) == []


@pytest.mark.parametrize(
    "choices",
    [
        '["text"]',
        "[{}]",
        '[{"message": "text"}]',
        '[{"message": {"content": {"a": 1}}}]',
        '[{"message": {"tool_calls": [{}]}}]',
        '[{"message": {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}}]',
        "[]",
    ],
)
@pytest.mark.parametrize("way", ["complete"])
def test_an_answer_in_another_form_is_invalid(ask: Ask, choices: str) -> None:
    assert failed(ask, f'[[json {{"choices": {choices}}}]]').failure is Failure.UPSTREAM_INVALID_RESPONSE


@pytest.mark.parametrize("way", ["complete"])
def test_odd_extras_of_an_answer_do_no_harm(ask: Ask) -> None:
    choice = '{"finish_reason": {"a": 1}, "message": {"content": "x"}, "logprobs": ["a"]}'
    usage = '{"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": null}'
    answer = ask(f'[[json {{"choices": [{choice}], "usage": {usage}}}]]')
    assert (answer.output[0]["status"], answer.usage) == ("completed", Usage(1, 2, 3))
    assert ask(f'[[json {{"choices": [{choice}], "usage": {{"total_tokens": "3"}}}}]]').usage is None
