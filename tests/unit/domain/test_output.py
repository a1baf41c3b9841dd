"""Putting an answer together from its pieces: the items it ends as, and the events that tell of each step."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from app.domain.jobs import Completed, Usage
from app.domain.output import Assembler, assemble
from tests.schemas import errors, event_errors

JSON = dict[str, Any]
JOB = UUID(int=0x5A)
HEX = JOB.hex
CITATION = {"type": "url_citation", "url": "https://example.com", "title": "T", "start_index": 0, "end_index": 2}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
LOGPROB = {"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []}


def told(*deltas: Delta) -> list[JSON]:
    """The events of an answer; each is right by both schemas."""
    assembler = Assembler(JOB)
    events = [event for delta in deltas for event in assembler.feed(delta)]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    assert [problem for event in numbered for problem in event_errors(event)] == []
    return events


def steps(*deltas: Delta) -> list[str]:
    """The events by their types, without `response.`."""
    return [event["type"].removeprefix("response.") for event in told(*deltas)]


def output(*deltas: Delta) -> list[JSON]:
    """The items of an answer that is finished; each is right by both schemas."""
    items = assemble(JOB, deltas if isinstance(deltas[-1], Finish) else (*deltas, Finish())).output
    assert [problem for item in items for problem in errors("openai", "OutputItem", item)] == []
    ours = [item for item in items if item != SEARCH]
    assert [problem for item in ours for problem in errors("open", "ItemField", item)] == []
    return items


def message(*content: JSON, at: int = 0, status: str = "completed") -> JSON:
    item = {"type": "message", "id": f"msg_{HEX}{at:04x}", "status": status, "role": "assistant"}
    return {**item, "content": list(content)}


def text(said: str, annotations: Iterable[JSON] = (), logprobs: Iterable[JSON] = ()) -> JSON:
    return {"type": "output_text", "text": said, "annotations": list(annotations), "logprobs": list(logprobs)}


def reasoning(*parts: str, at: int = 0) -> JSON:
    summary = [{"type": "summary_text", "text": part} for part in parts]
    return {"type": "reasoning", "id": f"rs_{HEX}{at:04x}", "status": "completed", "summary": summary}


def call(name: str, arguments: str, call_id: str, at: int, status: str = "completed") -> JSON:
    item = {"type": "function_call", "id": f"fc_{HEX}{at:04x}", "status": status}
    return {**item, "name": name, "arguments": arguments, "call_id": call_id}


def test_a_text() -> None:
    events = told(TextDelta("Hi "), TextDelta("you"), Finish())
    place = {"item_id": f"msg_{HEX}0000", "output_index": 0, "content_index": 0}
    opened = {"output_index": 0, "item": message(status="in_progress")}
    assert events == [
        {"type": "response.output_item.added", **opened},
        {"type": "response.content_part.added", **place, "part": text("")},
        {"type": "response.output_text.delta", **place, "delta": "Hi ", "logprobs": []},
        {"type": "response.output_text.delta", **place, "delta": "you", "logprobs": []},
        {"type": "response.output_text.done", **place, "text": "Hi you", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": text("Hi you")},
        {"type": "response.output_item.done", "output_index": 0, "item": message(text("Hi you"))},
    ]


def test_the_outcome_has_the_usage_and_the_items() -> None:
    usage = Usage(1, 2, 3)
    assert assemble(JOB, [TextDelta("Hi"), Finish(usage)]) == Completed([message(text("Hi"))], usage, None)


def test_there_is_no_outcome_before_the_finish() -> None:
    assembler = Assembler(JOB)
    assembler.feed(TextDelta("Hi"))
    assert assembler.completed is None


def test_an_empty_answer_is_a_message_without_words() -> None:
    assert steps(Finish()) == [
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert output(Finish()) == [message(text(""))]


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_an_answer_that_was_cut_off(reason: str) -> None:
    done = assemble(JOB, [TextDelta("Hi"), Finish(None, reason)])
    assert done == Completed([message(text("Hi"), status="incomplete")], None, reason)


def test_all_that_was_open_when_it_was_cut_off_is_incomplete() -> None:
    items = output(TextDelta("Hi"), ToolCallDelta(0, "{", "f", "c"), Finish(None, "max_output_tokens"))
    assert [item["status"] for item in items] == ["completed", "incomplete"]


def test_a_refusal_after_a_text_is_another_part_of_the_message() -> None:
    deltas = (TextDelta("Well, "), RefusalDelta("no"), RefusalDelta("."), Finish())
    refusal = {"type": "refusal", "refusal": "no."}
    assert output(*deltas) == [message(text("Well, "), refusal)]
    events = told(*deltas)
    place = {"item_id": f"msg_{HEX}0000", "output_index": 0, "content_index": 1}
    assert {"type": "response.refusal.delta", **place, "delta": "no"} in events
    assert {"type": "response.refusal.done", **place, "refusal": "no."} in events
    assert {"type": "response.content_part.done", **place, "part": refusal} in events


def test_annotations_are_numbered_and_stand_in_the_text() -> None:
    deltas = (TextDelta("Hi"), AnnotationDelta(CITATION), TextDelta(" you"), AnnotationDelta(CITATION), Finish())
    assert output(*deltas) == [message(text("Hi you", [CITATION, CITATION]))]
    added = [event for event in told(*deltas) if event["type"] == "response.output_text.annotation.added"]
    assert [event["annotation_index"] for event in added] == [0, 1]


def test_log_probabilities_are_told_with_each_piece_and_kept() -> None:
    deltas = (TextDelta("hi", [LOGPROB]), TextDelta("", [LOGPROB]), TextDelta("", []), Finish())
    assert output(*deltas) == [message(text("hi", logprobs=[LOGPROB, LOGPROB]))]
    told_with = [event["logprobs"] for event in told(*deltas) if "text.d" in event["type"]]
    assert told_with == [[LOGPROB], [LOGPROB], [LOGPROB, LOGPROB]]


def test_reasoning_has_parts_and_ends_where_the_text_begins() -> None:
    deltas = (ReasoningDelta("a"), ReasoningDelta("b"), ReasoningDelta("c", 1), TextDelta("Hi"), Finish())
    assert output(*deltas) == [reasoning("ab", "c"), message(text("Hi"), at=1)]
    part = ["reasoning_summary_part.added", "reasoning_summary_text.delta"]
    done = ["reasoning_summary_text.done", "reasoning_summary_part.done"]
    thought = ["output_item.added", *part, part[1], *done, *part, *done, "output_item.done"]
    assert steps(*deltas)[: len(thought)] == thought


def test_sealed_reasoning_is_kept_with_its_words_or_without() -> None:
    assert output(ReasoningDelta("a"), EncryptedReasoning("x")) == [{**reasoning("a"), "encrypted_content": "x"}]
    sealed = {**reasoning(), "encrypted_content": "x"}
    assert output(EncryptedReasoning("x"), TextDelta("Hi"))[0] == sealed
    assert told(EncryptedReasoning("x"), Finish())[-1]["item"] == sealed


def test_a_break_parts_items_of_one_kind() -> None:
    assert output(TextDelta("a"), Break(), TextDelta("b")) == [message(text("a")), message(text("b"), at=1)]
    thoughts = (ReasoningDelta("a"), EncryptedReasoning("x"), Break(), ReasoningDelta("b"), EncryptedReasoning("y"))
    first, second = output(*thoughts)
    assert (first["encrypted_content"], second["encrypted_content"]) == ("x", "y")
    assert (first["summary"][0]["text"], second["summary"][0]["text"]) == ("a", "b")


def test_a_break_where_nothing_is_open_says_nothing() -> None:
    assert Assembler(JOB).feed(Break()) == []
    assert output(Break(), TextDelta("a"), Break()) == [message(text("a"))]


def test_tool_calls_may_grow_side_by_side() -> None:
    deltas = (
        ToolCallDelta(4, "", "f", "call_1"),
        ToolCallDelta(4, '{"a"'),
        ToolCallDelta(7, "{", "g", "call_2"),
        ToolCallDelta(4, ":1}"),
        ToolCallDelta(7, "}"),
        Finish(),
    )
    assert output(*deltas) == [call("f", '{"a":1}', "call_1", 0), call("g", "{}", "call_2", 1)]
    pieces = [(e["output_index"], e["delta"]) for e in told(*deltas) if e["type"].endswith("arguments.delta")]
    assert pieces == [(0, '{"a"'), (1, "{"), (0, ":1}"), (1, "}")]
    ends = [event for event in told(*deltas) if event["type"].endswith("arguments.done")]
    assert [(event["name"], event["arguments"]) for event in ends] == [("f", '{"a":1}'), ("g", "{}")]


def test_a_tool_call_is_announced_without_arguments() -> None:
    (added, delta, *_) = told(ToolCallDelta(0, "{}", "f", "call_1"), Finish())
    assert added["item"] == call("f", "", "call_1", 0, status="in_progress")
    assert delta["delta"] == "{}"


def test_a_tool_call_without_an_id_gets_one() -> None:
    (item,) = output(ToolCallDelta(0, "{}", "f"))
    assert item == call("f", "{}", f"call_{HEX}0000", 0)


def test_a_text_before_tool_calls_ends_with_the_first_of_them() -> None:
    deltas = (TextDelta("Hi"), ToolCallDelta(0, "{}", "f", "c"), Finish())
    assert output(*deltas) == [message(text("Hi")), call("f", "{}", "c", 1)]
    kinds = steps(*deltas)
    assert kinds.index("output_item.done") < kinds.index("function_call_arguments.delta")


def test_an_item_of_a_hosted_tool_stands_as_it_came() -> None:
    deltas = (ReasoningDelta("a"), HostedItem(SEARCH), TextDelta("Hi"), Finish())
    assert output(*deltas) == [reasoning("a"), SEARCH, message(text("Hi"), at=2)]
    events = [event for event in told(*deltas) if event.get("output_index") == 1]
    assert [(event["type"], event["item"]) for event in events] == [
        ("response.output_item.added", SEARCH),
        ("response.output_item.done", SEARCH),
    ]


def test_events_keep_what_they_said_when_the_answer_goes_on() -> None:
    assembler = Assembler(JOB)
    (added, part, _) = assembler.feed(TextDelta("Hi"))
    assembler.feed(AnnotationDelta(CITATION))
    assembler.feed(Finish())
    assert added["item"]["content"] == []
    assert added["item"]["status"] == "in_progress"
    assert part["part"] == text("")


WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=5)
ANY_DELTA = st.one_of(
    st.builds(TextDelta, WORDS, st.lists(st.just(LOGPROB), max_size=2)),
    st.builds(RefusalDelta, WORDS),
    st.builds(ReasoningDelta, WORDS),
    st.builds(EncryptedReasoning, WORDS),
    st.builds(ToolCallDelta, st.integers(0, 2), WORDS, st.just("f"), st.just("call_1")),
    st.just(AnnotationDelta(CITATION)),
    st.just(HostedItem(SEARCH)),
    st.just(Break()),
)


@settings(deadline=None)
@given(st.lists(ANY_DELTA, max_size=12), st.sampled_from([None, "max_output_tokens"]))
def test_whatever_comes_the_events_tell_the_whole_answer(deltas: list[Delta], reason: str | None) -> None:
    events = told(*deltas, Finish(None, reason))
    items = output(*deltas, Finish(None, reason))
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    done = {e["output_index"]: e["item"] for e in events if e["type"] == "response.output_item.done"}
    assert added == [item["id"] for item in items]
    assert [done[index] for index in range(len(items))] == items
    for delta in (event for event in events if event["type"] == "response.output_text.delta"):
        assert delta["delta"] in items[delta["output_index"]]["content"][delta["content_index"]]["text"]
