"""Every kind of answer, by both protocols, in one go and as a stream: the outcome is the same."""

from typing import Any

import pytest

from app.domain.jobs import Completed, Usage
from app.domain.output import Assembler
from app.domain.ports import Upstream
from tests.integration.upstreams.conftest import DEADLINE, JOB, Ask, answered, request, text
from tests.schemas import errors, event_errors
from tests.upstream.responses import JSON

HEX = JOB.hex
ASKED = {"include": ("message.output_text.logprobs", "reasoning.encrypted_content"), "top_logprobs": 1}
TOOL = '[[tool look_up {"ids": [1, 2, 3], "deep": {"a": "b"}}]]'
SCRIPTS = [
    "say hi",
    "[[null-content]]",
    "[[text Hello there.]]",
    "[[tokens 40]]",
    "[[nul-char]]",
    "\U0001f600 \u2028 \x85 \u202e \x1b[31m é",
    "[[reasoning let me think]]",
    "[[reasoning one]] [[reasoning two]] [[text so]]",
    "[[raw-reasoning one]] [[raw-reasoning two]]",
    "[[reasoning only]] [[null-content]] [[finish length]]",
    "[[refusal I can not do that.]]",
    "[[text Well,]] [[refusal no.]]",
    TOOL,
    f"[[text I will look.]] {TOOL}",
    f"{TOOL} [[tool other {{}}]]",
    f"[[reasoning hm]] {TOOL} {TOOL} [[tool other {{}}]] [[interleaved]]",
    "[[web-search]] cite it",
    "[[reasoning hm]] [[web-search]] [[text cited]] [[tool f {}]]",
    "[[finish length]]",
    "[[finish content_filter]]",
    "[[finish odd]]",
    "[[cached 2]] one two three",
    "[[no-usage]]",
]


@pytest.mark.parametrize("parameters", [{}, ASKED], ids=["plain", "with extras"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_stream_ends_as_what_the_whole_answer_is(either: Upstream, script: str, parameters: JSON) -> None:
    asked = request(script, **parameters)
    assert answered(either, "stream", asked) == answered(either, "complete", asked)


@pytest.mark.parametrize("parameters", [{}, ASKED], ids=["plain", "with extras"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_event_and_item_is_right_by_both_schemas(either: Upstream, script: str, parameters: JSON) -> None:
    assembler = Assembler(JOB)
    deltas = either.stream(request(script, **parameters), model="m", job_id=JOB, timeout=DEADLINE)
    events = [event for delta in deltas for event in assembler.feed(delta)]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    assert [problem for event in numbered for problem in event_errors(event)] == []
    assert assembler.completed
    assert [problem for item in assembler.completed.output for problem in errors("openai", "OutputItem", item)] == []


def test_a_text_with_its_usage(ask: Ask) -> None:
    content = {"type": "output_text", "text": "echo: say hi", "annotations": [], "logprobs": []}
    item = {"type": "message", "id": f"msg_{HEX}0000", "status": "completed", "role": "assistant"}
    usage = Usage(input_tokens=2, output_tokens=3, total_tokens=5)
    assert ask("say hi") == Completed([{**item, "content": [content]}], usage)


def test_usage_tells_cached_and_reasoning_tokens(ask: Ask) -> None:
    usage = ask("[[reasoning a b]] [[cached 2]] [[text c d e]]").usage
    assert usage
    assert (usage.cached_tokens, usage.reasoning_tokens, usage.output_tokens) == (2, 2, 5)


def test_usage_that_the_server_does_not_tell_is_unknown(ask: Ask) -> None:
    assert ask("hi [[no-usage]]").usage is None


@pytest.mark.parametrize("directive", ["reasoning", "raw-reasoning"])
def test_reasoning_is_shown_as_a_summary(ask: Ask, directive: str) -> None:
    thought, said = ask(f"[[{directive} let me think]] [[text so]]").output
    assert thought["summary"] == [{"type": "summary_text", "text": "let me think"}]
    assert said["content"][0]["text"] == "so"


def test_a_refusal_is_an_answer(ask: Ask) -> None:
    (message,) = ask("[[refusal I can not.]]").output
    assert message["content"] == [{"type": "refusal", "refusal": "I can not."}]


@pytest.mark.parametrize("interleaved", ["", "[[interleaved]]"])
def test_tool_calls_keep_their_ids_and_arguments(ask: Ask, interleaved: str) -> None:
    (said, *calls) = ask(f"[[text I look.]] {TOOL} [[tool other {{}}]] {interleaved}").output
    assert said["content"][0]["text"] == "I look."
    assert [(call["type"], call["name"]) for call in calls] == [
        ("function_call", "look_up"),
        ("function_call", "other"),
    ]
    assert calls[0]["arguments"] == '{"ids": [1, 2, 3], "deep": {"a": "b"}}'
    assert all(call["call_id"].startswith("call_mock_") for call in calls)


def test_log_probabilities_come_when_they_are_asked_for(ask: Ask) -> None:
    def found(**parameters: Any) -> list[JSON]:
        logprobs: list[JSON] = ask("[[text Hi é]]", **parameters).output[0]["content"][0]["logprobs"]
        return logprobs

    assert found() == []
    assert [(entry["token"], entry["bytes"]) for entry in found(**ASKED)] == [("Hi", [72, 105]), (" é", [32, 195, 169])]


@pytest.mark.parametrize(
    ("directive", "status", "reason"),
    [
        ("[[finish stop]]", "completed", None),
        ("[[finish length]]", "incomplete", "max_output_tokens"),
        ("[[finish content_filter]]", "incomplete", "content_filter"),
        ("[[finish odd]]", "completed", None),
    ],
)
def test_an_answer_that_was_cut_off_says_why(ask: Ask, directive: str, status: str, reason: str | None) -> None:
    answer = ask(f"hi {directive}")
    assert (answer.output[0]["status"], answer.incomplete_reason) == (status, reason)


def test_unusual_text_arrives_as_it_was_sent(ask: Ask) -> None:
    assert text(ask("[[nul-char]]")) == "before\0after"
    assert text(ask("\U0001f600 \u202e \x1b[31m é")) == "echo: \U0001f600 \u202e \x1b[31m é"
    assert len(text(ask("[[huge 3000000]]"))) == 3_000_000
