"""Events of the Responses API, as all sorts of servers send them."""

from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings

from app.domain.deltas import (
    AnnotationDelta,
    Break,
    Delta,
    EncryptedReasoning,
    Finish,
    HostedItem,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from app.domain.jobs import Failure, Usage
from app.domain.output import assemble
from app.domain.ports import UpstreamError
from app.domain.requests import JSON
from app.upstreams import reading, responses_answer
from tests.unit.upstreams.damage import damaged

CITATION = {"type": "url_citation", "url": "https://example.com", "title": "T", "start_index": 0, "end_index": 1}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}


def event(kind: str, index: int = 0, **more: Any) -> JSON:
    return {"type": f"response.{kind}", "output_index": index, **more}


def text(said: str, index: int = 0, part: int = 0) -> JSON:
    return event("output_text.delta", index, content_index=part, delta=said, logprobs=[])


def done(item: JSON, index: int = 0) -> JSON:
    return event("output_item.done", index, item=item)


def end(*output: JSON, status: str = "completed", **more: Any) -> JSON:
    return event(status, response={"status": status, "output": list(output), **more})


def message(*content: JSON) -> JSON:
    return {"type": "message", "role": "assistant", "content": list(content)}


def output_text(said: str, *annotations: JSON) -> JSON:
    return {"type": "output_text", "text": said, "annotations": list(annotations)}


def read(*events: JSON) -> list[Delta]:
    """The deltas before the Finish."""
    *deltas, finish = responses_answer.streamed(events)
    assert isinstance(finish, Finish)
    return deltas


def failure(*events: JSON) -> Failure:
    with pytest.raises(UpstreamError) as failed:
        list(responses_answer.streamed(events))
    return failed.value.failure


def test_words_of_each_kind() -> None:
    events = (
        event("reasoning_summary_text.delta", 0, summary_index=0, delta="a"),
        text("b", 1),
        event("refusal.delta", 1, content_index=1, delta="c"),
        end(),
    )
    assert read(*events) == [ReasoningDelta("a"), Break(), TextDelta("b"), RefusalDelta("c")]


@pytest.mark.parametrize("kind", ["reasoning_text.delta", "reasoning.delta"])
def test_raw_reasoning_is_reasoning(kind: str) -> None:
    assert read(event(kind, content_index=0, delta="a"), end()) == [ReasoningDelta("a")]


def test_parts_of_reasoning_are_numbered_in_each_item() -> None:
    def thought(said: str, index: int, part: int) -> JSON:
        return event("reasoning_summary_text.delta", index, summary_index=part, delta=said)

    deltas = read(
        thought("a", 0, 0), thought("b", 0, 0), thought("c", 0, 1), thought("d", 1, 0), thought("e", 1, 1), end()
    )
    assert deltas == [
        ReasoningDelta("a"),
        ReasoningDelta("b"),
        ReasoningDelta("c", 1),
        Break(),
        ReasoningDelta("d"),
        ReasoningDelta("e", 1),
    ]


def test_texts_of_other_items_and_parts_stay_apart() -> None:
    deltas = read(text("a"), text("b", 0, 1), text("c", 1), end())
    assert deltas == [TextDelta("a"), Break(), TextDelta("b"), Break(), TextDelta("c")]


def test_a_call_in_pieces() -> None:
    events = (
        event("output_item.added", 2, item={**CALL, "arguments": ""}),
        event("function_call_arguments.delta", 2, delta='{"a"'),
        event("function_call_arguments.delta", 2, delta=":1}"),
        event("function_call_arguments.done", 2, arguments='{"a":1}'),
        done(CALL, 2),
        end(),
    )
    assert read(*events) == [ToolCallDelta(2, "", "f", "c1"), ToolCallDelta(2, '{"a"'), ToolCallDelta(2, ":1}")]


def test_a_whole_item_is_read_where_its_pieces_were_not_sent() -> None:
    thought = {"type": "reasoning", "summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "x"}
    said = message(output_text("hi", CITATION), {"type": "refusal", "refusal": "no"})
    whole: list[Delta] = [
        ReasoningDelta("a"),
        ReasoningDelta("b", 1),
        EncryptedReasoning("x"),
        Break(),
        TextDelta("hi"),
        AnnotationDelta(CITATION),
        RefusalDelta("no"),
        ToolCallDelta(2, "", "f", "c1"),
        ToolCallDelta(2, '{"a":1}'),
        HostedItem(SEARCH),
    ]
    items = [thought, said, CALL, SEARCH]
    assert read(*(done(item, index) for index, item in enumerate(items)), end(*items)) == whole
    # or only at the very end
    assert read(end(*items)) == whole
    assert list(responses_answer.whole({"status": "completed", "output": items}))[:-1] == whole


def test_what_was_told_is_not_told_again() -> None:
    said = message(output_text("hi", CITATION, CITATION), {"type": "refusal", "refusal": "no"})
    annotated = event("output_text.annotation.added", content_index=0, annotation=CITATION)
    deltas = read(text("hi"), annotated, done(said), end(said))
    # The second annotation and the refusal stood in the item alone.
    assert deltas == [TextDelta("hi"), AnnotationDelta(CITATION), AnnotationDelta(CITATION), RefusalDelta("no")]


def test_sealed_reasoning_comes_after_its_words() -> None:
    thought = event("reasoning_summary_text.delta", summary_index=0, delta="a")
    sealed = {"type": "reasoning", "summary": [{"text": "a"}], "encrypted_content": "x"}
    assert read(thought, done(sealed), end(sealed)) == [ReasoningDelta("a"), EncryptedReasoning("x")]


def test_empty_items_say_nothing() -> None:
    nothing = [{"type": "reasoning", "summary": []}, message(), message(output_text(""))]
    assert read(*(done(item, index) for index, item in enumerate(nothing)), end(*nothing)) == []


def test_events_that_say_nothing_new_are_passed_over() -> None:
    events: tuple[JSON, ...] = (
        event("created", response={}),
        event("web_search_call.searching"),
        event("output_text.done", text="a"),
        {"type": "keepalive", "error": None},
        {},
    )
    assert read(*events, text("a"), end()) == [TextDelta("a")]


def test_the_end() -> None:
    details = {"cached_tokens": 4, "reasoning_tokens": 5}
    usage: JSON = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    usage |= {"input_tokens_details": details, "output_tokens_details": details}
    cut = end(status="incomplete", incomplete_details={"reason": "content_filter"}, usage=usage)
    assert list(responses_answer.streamed([cut])) == [Finish(Usage(1, 2, 3, 4, 5), "content_filter")]
    assert list(responses_answer.streamed([end(), text("more")])) == [Finish()]
    assert list(responses_answer.streamed([event("completed")])) == [Finish()]


@pytest.mark.parametrize("events", [[], [text("a")], [text("a"), {"type": "response.odd"}], [{"type": ["odd"]}]])
def test_without_an_end_it_is_broken(events: list[JSON]) -> None:
    assert failure(*events) is Failure.UPSTREAM_UNAVAILABLE


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"type": "error", "code": "server_error", "message": "m"}, Failure.UPSTREAM_UNAVAILABLE),
        ({"type": "error", "code": "rate_limit_exceeded"}, Failure.UPSTREAM_RATE_LIMITED),
        ({"type": "error", "error": {"type": "x", "code": "invalid_prompt"}}, Failure.INVALID_PROMPT),
        ({"error": {"code": "context_length_exceeded"}}, Failure.CONTEXT_LENGTH_EXCEEDED),
        (end(status="failed", error={"code": "rate_limit_exceeded"}), Failure.UPSTREAM_RATE_LIMITED),
        (end(status="failed", error=None), Failure.UPSTREAM_UNAVAILABLE),
        (event("failed"), Failure.UPSTREAM_UNAVAILABLE),
        (event("completed", response={"status": "in_progress"}), Failure.UPSTREAM_INVALID_RESPONSE),
        (done({}), Failure.UPSTREAM_INVALID_RESPONSE),
        (done({"type": "function_call", "arguments": "{}"}), Failure.UPSTREAM_INVALID_RESPONSE),
    ],
)
def test_failures(told: JSON, wanted: Failure) -> None:
    assert failure(text("a"), told) is wanted


THOUGHT = {"type": "reasoning", "summary": [{"text": "a"}], "content": [{"text": "b"}], "encrypted_content": "x"}
LOGPROB = {"token": "a", "logprob": -1, "bytes": [1], "top_logprobs": [{"token": "a", "logprob": -1}]}
SAID = message({**output_text("hi", CITATION), "logprobs": [LOGPROB]}, {"type": "refusal", "refusal": "no"})
WHOLE: JSON = {
    "status": "incomplete",
    "incomplete_details": {"reason": "max_output_tokens"},
    "error": {"code": "odd"},
    "output": [THOUGHT, SAID, CALL, SEARCH],
    "usage": {"input_tokens": 1, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}},
}
EVENTS = [
    event("reasoning_summary_text.delta", 0, summary_index=0, delta="a"),
    done(THOUGHT, 0),
    text("hi", 1),
    event("output_text.annotation.added", 1, content_index=0, annotation=CITATION),
    event("refusal.delta", 1, content_index=1, delta="no"),
    done(SAID, 1),
    event("output_item.added", 2, item={**CALL, "arguments": ""}),
    event("function_call_arguments.delta", 2, delta="{}"),
    done(CALL, 2),
    done(SEARCH, 3),
    event("incomplete", response=WHOLE),
]


@settings(deadline=None, max_examples=500)
@given(damaged(WHOLE), damaged(EVENTS))
def test_whatever_a_server_sends_is_an_answer_or_an_error_of_its(answer: JSON, events: list[JSON]) -> None:
    with suppress(UpstreamError):
        assemble(UUID(int=1), responses_answer.whole(answer))
    with suppress(UpstreamError):
        assemble(UUID(int=1), responses_answer.streamed(reading.objects(events)))
