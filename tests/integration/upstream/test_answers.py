"""What the OpenAI SDK makes of each answer of the mock."""

import json
from collections.abc import Callable

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageFunctionToolCall

from tests.upstream.client import MockUpstream

Ask = Callable[[str], ChatCompletion]


def stream(sdk: openai.OpenAI, prompt: str) -> list[ChatCompletionChunk]:
    chunks = sdk.chat.completions.create(
        model="gpt-4.1",
        messages=[{"role": "user", "content": prompt}],
        stream=True,
        stream_options={"include_usage": True},
    )
    return list(chunks)


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_echo_with_usage(ask: Ask) -> None:
    answer = ask("write about AI")
    assert answer.choices[0].message.content == "echo: write about AI"
    assert (answer.model, answer.choices[0].finish_reason) == ("gpt-4.1", "stop")
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 4, 7)
    assert answer.usage.completion_tokens_details
    assert answer.usage.completion_tokens_details.reasoning_tokens == 0


def test_streamed_echo_with_usage(sdk: openai.OpenAI) -> None:
    chunks = stream(sdk, "write about AI")
    assert text_of(chunks) == "echo: write about AI"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage
    assert chunks[-1].usage.total_tokens == 7


def test_the_last_user_message_counts(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="gpt-4.1",
        messages=[
            {"role": "system", "content": "[[status 500]]"},
            {"role": "user", "content": "[[status 500]]"},
            {"role": "user", "content": [{"type": "text", "text": "in"}, {"type": "text", "text": "parts"}]},
            {"role": "assistant", "content": "[[status 500]]"},
        ],
    )
    assert answer.choices[0].message.content == "echo: in\nparts"


def test_models(sdk: openai.OpenAI) -> None:
    assert [model.id for model in sdk.models.list()] == ["mock-small", "mock-large"]


def test_shapes(ask: Ask) -> None:
    assert ask("[[empty-choices]]").choices == []
    assert ask("[[null-content]]").choices[0].message.content is None
    assert ask("[[nul-char]]").choices[0].message.content == "before\0after"
    assert ask("[[finish length]]").choices[0].finish_reason == "length"
    assert ask("[[no-usage]]").usage is None
    assert ask("[[tokens 3 rate=1000]]").choices[0].message.content == "w1 w2 w3"
    assert ask("[[huge 300000]]").choices[0].message.content == "x" * 300_000
    assert ask('[[json {"id": "bare"}]]').id == "bare"


def test_streamed_shapes(sdk: openai.OpenAI) -> None:
    assert all(not chunk.choices for chunk in stream(sdk, "[[empty-choices]]"))
    assert text_of(stream(sdk, "[[tokens 3 rate=1000]]")) == "w1 w2 w3"
    assert text_of(stream(sdk, "[[huge 300000]]")) == "x" * 300_000
    assert stream(sdk, "[[no-usage]]")[-1].usage is None


def test_tool_call(ask: Ask, sdk: openai.OpenAI) -> None:
    choice = ask('[[tool look_up {"ids": [[1]]}]]').choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    (call,) = choice.message.tool_calls
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    assert (call.function.name, json.loads(call.function.arguments)) == ("look_up", {"ids": [[1]]})


def test_tool_calls_in_a_stream(sdk: openai.OpenAI) -> None:
    def pieces(extra: str) -> list[tuple[int, str | None, str | None]]:
        chunks = stream(sdk, f'[[tool f {{"a": 123456}}]] [[tool g {{"b": 123456}}]] {extra}')
        calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
        return [(call.index, call.function.name, call.function.arguments) for call in calls if call.function]

    f, g = (
        [(0, "f", ""), (0, None, '{"a": 12'), (0, None, "3456}")],
        [(1, "g", ""), (1, None, '{"b": 12'), (1, None, "3456}")],
    )
    assert pieces("") == f + g
    assert pieces("[[interleaved]]") == [*f[:2], *g[:2], f[2], g[2]]


def test_reasoning_and_refusals_by_their_usual_names(ask: Ask, sdk: openai.OpenAI) -> None:
    message = ask("[[reasoning a b]] [[refusal no way]]").choices[0].message
    assert (message.content, message.refusal, message.to_dict()["reasoning_content"]) == (None, "no way", "a b")
    assert ask("[[raw-reasoning a b]]").choices[0].message.to_dict()["reasoning"] == "a b"
    deltas = [chunk.choices[0].delta.to_dict() for chunk in stream(sdk, "[[reasoning a b]]") if chunk.choices]
    assert [delta["reasoning_content"] for delta in deltas if "reasoning_content" in delta] == ["a", " b"]


def test_counted_tokens(ask: Ask) -> None:
    usage = ask("[[reasoning a b]] [[cached 3]] [[text c]]").usage
    assert usage
    assert usage.prompt_tokens_details
    assert usage.completion_tokens_details
    assert (usage.completion_tokens, usage.completion_tokens_details.reasoning_tokens) == (3, 2)
    assert usage.prompt_tokens_details.cached_tokens == 3


def test_log_probabilities_when_they_are_asked_for(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "[[text a b]]"}], logprobs=True, top_logprobs=1
    )
    assert answer.choices[0].logprobs
    assert [entry.token for entry in answer.choices[0].logprobs.content or ()] == ["a", " b"]


def test_headers_of_the_sdk(ask: Ask) -> None:
    headers = json.loads(ask("[[headers]]").choices[0].message.content or "")
    assert headers["authorization"] == "Bearer sk-test"
    assert headers["user-agent"] == f"OpenAI/Python {openai.__version__}"


@pytest.mark.parametrize(
    ("directive", "error", "code"),
    [
        ("[[status 401]]", openai.AuthenticationError, "invalid_api_key"),
        ("[[status 404]]", openai.NotFoundError, "model_not_found"),
        ("[[status 429 code=insufficient_quota]]", openai.RateLimitError, "insufficient_quota"),
        ("[[status 503]]", openai.InternalServerError, None),
        ("[[error code=context_length_exceeded]]", openai.BadRequestError, "context_length_exceeded"),
        ("[[error code=invalid_prompt]]", openai.BadRequestError, "invalid_prompt"),
        ("[[sleep 0.01]] [[status 500]] [[status 400]]", openai.InternalServerError, None),
        ("[[garbage status=502 type=text/html]]", openai.InternalServerError, None),
        ("[[misspelt]]", openai.BadRequestError, "bad_directive"),
    ],
)
def test_error_statuses(ask: Ask, directive: str, error: type[openai.APIStatusError], code: str | None) -> None:
    with pytest.raises(error) as raised:
        ask(directive)
    assert raised.value.code == code


def test_retry_after(ask: Ask) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        ask("[[status 429 retry-after=7]]")
    assert raised.value.response.headers["retry-after"] == "7"


def test_fail_first_counts_per_prompt(ask: Ask, mark: str) -> None:
    prompt = f"{mark} [[fail-first 2 status=503]]"
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            ask(prompt)
    with pytest.raises(openai.InternalServerError):
        ask(f"another {prompt}")
    assert ask(prompt).choices[0].message.content == f"echo: {mark}"


def test_fail_first_by_a_reset(ask: Ask, mark: str) -> None:
    with pytest.raises(openai.APIConnectionError):
        ask(f"{mark} [[fail-first 1 by=reset]]")
    assert ask(f"{mark} [[fail-first 1 by=reset]]").choices


@pytest.mark.parametrize(
    ("directive", "cause"),
    [
        ("[[reset]]", "ReadError"),
        ("[[close]]", "RemoteProtocolError"),
        ("[[half]]", "RemoteProtocolError"),
        ("[[half-stream]]", "RemoteProtocolError"),
    ],
)
def test_broken_connections(ask: Ask, sdk: openai.OpenAI, directive: str, cause: str) -> None:
    for call in (lambda: ask(directive), lambda: stream(sdk, directive)):
        with pytest.raises(openai.APIConnectionError) as raised:
            call()
        assert type(raised.value.__cause__).__name__ == cause


def test_half_a_stream_shows_its_beginning(sdk: openai.OpenAI) -> None:
    seen: list[str | None] = []
    chunks = sdk.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "[[tokens 10]] [[half-stream]]"}], stream=True
    )
    with pytest.raises(openai.APIConnectionError):
        seen.extend(chunk.choices[0].delta.content for chunk in chunks)  # extend keeps what came before the error
    assert seen[:3] == ["", "w1", " w2"]
    assert " w10" not in seen


def test_garbage_is_no_openai_error(ask: Ask) -> None:
    with pytest.raises(json.JSONDecodeError):
        ask("[[garbage]]")


def test_error_in_a_stream(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError) as raised:
        stream(sdk, "some words [[stream-error code=server_error]]")
    assert raised.value.code == "server_error"
    assert not isinstance(raised.value, openai.APIStatusError)


def test_a_mode_holds_for_so_many_calls(upstream: MockUpstream, ask: Ask) -> None:
    upstream.set_mode("[[status 429]]", for_calls=1)
    with pytest.raises(openai.RateLimitError):
        ask("first")
    assert ask("second").choices


def test_a_mode_holds_until_it_is_cleared(upstream: MockUpstream, ask: Ask) -> None:
    upstream.set_mode("[[reset]]")
    for _ in range(3):
        with pytest.raises(openai.APIConnectionError):
            ask("hello")
    upstream.clear_mode()
    assert ask("hello").choices


def test_a_mode_holds_for_so_many_seconds(upstream: MockUpstream, ask: Ask) -> None:
    upstream.set_mode("[[status 429]]", for_seconds=3_600)
    with pytest.raises(openai.RateLimitError):
        ask("within")
    upstream.set_mode("[[status 429]]", for_seconds=0)
    assert ask("after").choices


def test_a_wrong_mode_is_refused(upstream: MockUpstream) -> None:
    with pytest.raises(AssertionError, match="misspelt"):
        upstream.set_mode("[[misspelt]]")
