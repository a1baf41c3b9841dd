"""Chunks of chat completions, as all sorts of servers send them."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings

from app.domain.deltas import Delta, Finish, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from app.domain.jobs import Failure, Usage
from app.domain.output import assemble
from app.domain.ports import UpstreamError
from app.domain.requests import JSON
from app.upstreams import chat_answer, reading
from tests.unit.upstreams.damage import damaged

STOP: JSON = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def chunk(finish_reason: Any = None, **delta: Any) -> JSON:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def read(*chunks: JSON) -> list[Delta]:
    """The deltas before the Finish."""
    *deltas, finish = chat_answer.streamed(chunks)
    assert isinstance(finish, Finish)
    return deltas


def finish(*chunks: JSON) -> Finish:
    *_, last = chat_answer.streamed(chunks)
    assert isinstance(last, Finish)
    return last


def calling(index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None) -> JSON:
    call = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return chunk(tool_calls=[{key: value for key, value in call.items() if value is not None}])


def test_empty_pieces_say_nothing() -> None:
    first = chunk(role="assistant", content="", refusal=None, reasoning_content=None, tool_calls=None)
    assert read(first, chunk(content=None), chunk(reasoning_content=""), STOP) == []


def test_words_of_each_kind() -> None:
    pieces = (chunk(reasoning_content="a"), chunk(reasoning="b"), chunk(content="c"), chunk(refusal="d"))
    assert read(*pieces, STOP) == [ReasoningDelta("a"), ReasoningDelta("b"), TextDelta("c"), RefusalDelta("d")]


def test_log_probabilities_without_text_are_kept() -> None:
    told = [{"token": "\u00e9", "logprob": -1, "bytes": None}]
    held_back = chunk(content="")
    held_back["choices"][0]["logprobs"] = {"content": told}
    entry = {"token": "\u00e9", "logprob": -1, "bytes": [195, 169], "top_logprobs": []}
    assert read(held_back, STOP) == [TextDelta("", [entry])]


@pytest.mark.parametrize(
    ("reason", "incomplete"),
    [
        ("stop", None),
        ("tool_calls", None),
        ("length", "max_output_tokens"),
        ("content_filter", "content_filter"),
        ("eos", None),
        (3, None),
    ],
)
def test_the_finish_reason(reason: Any, incomplete: str | None) -> None:
    assert finish(chunk(reason)) == Finish(None, incomplete)
    # It counts wherever it stands: some servers send chunks after it.
    assert finish(chunk(reason), chunk(), {"choices": []}) == Finish(None, incomplete)


@pytest.mark.parametrize("chunks", [[], [chunk(content="a")], [chunk("", content="a")], [{"choices": []}], [{}]])
def test_without_a_finish_reason_it_is_broken(chunks: list[JSON]) -> None:
    with pytest.raises(UpstreamError) as broken:
        list(chat_answer.streamed(chunks))
    assert (broken.value.failure, broken.value.retryable) == (Failure.UPSTREAM_UNAVAILABLE, True)


@pytest.mark.parametrize(
    "chunks",
    [
        [STOP, {"choices": [], "usage": USAGE}],
        [{**STOP, "usage": USAGE}],
        [{**chunk(content="a"), "usage": {**USAGE, "total_tokens": 2}}, {**STOP, "usage": USAGE}, {"usage": None}],
    ],
)
def test_the_last_usage_counts(chunks: list[JSON]) -> None:
    assert finish(*chunks).usage == Usage(1, 2, 3)


def test_a_call_in_pieces() -> None:
    pieces = (calling(0, "c1", "f", ""), calling(0, arguments='{"a'), calling(0, arguments='":1}'))
    assert read(*pieces, STOP) == [
        ToolCallDelta(0, "", "f", "c1"),
        ToolCallDelta(0, '{"a'),
        ToolCallDelta(0, '":1}'),
    ]


def indices(chunks: Sequence[JSON]) -> list[int]:
    return [delta.index for delta in read(*chunks, STOP) if isinstance(delta, ToolCallDelta)]


def test_calls_are_told_apart() -> None:
    by_index = [calling(0, "c1", "f"), calling(1, "c2", "g"), calling(0, arguments="{"), calling(1, arguments="{")]
    assert indices(by_index) == [0, 1, 0, 1]
    all_numbered_0 = [calling(0, "c1", "f", "{}"), calling(0, "c2", "f", "{}"), calling(0, arguments=" ")]
    assert indices(all_numbered_0) == [0, 1, 1]
    without_numbers = [calling(None, "c1", "f", "{"), calling(arguments="}"), calling(None, "c2", "g", "{}")]
    assert indices(without_numbers) == [0, 0, 1]
    repeating_themselves = [calling(0, "c1", "f", "{"), calling(0, "c1", "f", "}")]
    assert indices(repeating_themselves) == [0, 0]
    without_ids = [calling(0, None, "f", "{}"), calling(1, None, "g", "{}")]
    assert indices(without_ids) == [0, 1]


@pytest.mark.parametrize(
    "bad",
    [
        calling(0, arguments="{}"),
        calling(0, "c", "f", {"a": 1}),
        chunk(content=["a"]),
        chunk(reasoning_content=3),
        {"choices": ["text"]},
        {"choices": "text"},
    ],
)
def test_a_chunk_in_another_form_is_invalid(bad: JSON) -> None:
    with pytest.raises(UpstreamError) as invalid:
        read(bad, STOP)
    assert invalid.value.failure is Failure.UPSTREAM_INVALID_RESPONSE


def test_only_the_first_choice_counts() -> None:
    both: JSON = {"choices": [{"delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]}
    assert read(both, STOP) == [TextDelta("a")]


SAID: JSON = {
    "role": "assistant",
    "content": "a",
    "refusal": "b",
    "reasoning_content": "c",
    "tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}],
}
LOGPROBS = {"content": [{"token": "a", "logprob": -1, "bytes": [1], "top_logprobs": [{"token": "a", "logprob": -1}]}]}
DETAILS = {"prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 1}}
WHOLE = {
    "choices": [{"message": SAID, "finish_reason": "stop", "logprobs": LOGPROBS}],
    "usage": {**USAGE, **DETAILS},
    "error": None,
}
CHUNKS = [{**WHOLE, "choices": [{"delta": SAID, "finish_reason": None, "logprobs": LOGPROBS}]}, STOP]


@settings(deadline=None, max_examples=500)
@given(damaged(WHOLE), damaged(CHUNKS))
def test_whatever_a_server_sends_is_an_answer_or_an_error_of_its(answer: JSON, chunks: list[JSON]) -> None:
    with suppress(UpstreamError):
        assemble(UUID(int=1), chat_answer.whole(answer))
    with suppress(UpstreamError):
        assemble(UUID(int=1), chat_answer.streamed(reading.objects(chunks)))
