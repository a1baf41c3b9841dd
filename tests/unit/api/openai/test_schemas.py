"""Requests of the OpenAI dialect, and the canonical requests they mean."""

from typing import Any

import pytest

from app.api.openai.schemas import CreateResponse
from app.api.validation import validate
from app.domain.requests import JobRequest, message
from tests.unit.api.jobs import CANARY, changed, problem

GOOD: dict[str, Any] = {"model": "m", "input": "hi"}
FUNCTION = {"type": "function", "name": "get-weather_2", "description": "d", "parameters": {"default": None}}


def asked(**values: Any) -> JobRequest:
    return validate(CreateResponse, GOOD | values).to_job_request()


def test_the_smallest_request_runs_while_its_client_waits() -> None:
    assert asked() == JobRequest("m", (message("user", "hi"),), background=False)


def test_a_request_with_everything() -> None:
    text = {"format": {"type": "json_schema", "name": "n", "schema": {"x": None}, "strict": True}, "verbosity": "low"}
    same: dict[str, Any] = {
        "model": "gpt-4.1",
        "instructions": "be brief",
        "background": True,
        "stream": True,
        "store": False,
        "metadata": {"k" * 64: "v" * 512},
        "temperature": 0,
        "top_p": 1,
        "presence_penalty": -2,
        "frequency_penalty": 2,
        "top_logprobs": 20,
        "max_output_tokens": 1,
        "max_tool_calls": 3,
        "tool_choice": {"type": "function", "name": "get-weather_2"},
        "parallel_tool_calls": False,
        "text": text,
        "reasoning": {"effort": "high", "summary": "auto"},
        "truncation": "auto",
        "previous_response_id": "resp_1",
        "service_tier": "flex",
        "safety_identifier": "s",
        "prompt_cache_key": "p",
        "user": "u",
    }
    include = ["message.output_text.logprobs", "reasoning.encrypted_content"]
    accepted = {
        "stream_options": {"include_obfuscation": True},
        "prompt_cache_retention": "24h",
        "prompt_cache_options": {"ttl": "30m"},
    }
    found = asked(**same, **accepted, input="hi", tools=[FUNCTION], include=[*include, include[0]])
    assert found == JobRequest(inputs=(message("user", "hi"),), tools=(FUNCTION,), include=tuple(include), **same)
    numbers = (found.temperature, found.top_p, found.presence_penalty, found.frequency_penalty)
    # 1 and 1.0 are equal, but not the same bytes when shown.
    assert all(isinstance(number, float) for number in numbers)


def test_null_is_the_same_as_left_out() -> None:
    optional = {name: None for name in CreateResponse.model_fields if name not in {"model", "input"}}
    assert asked(**optional) == asked()
    nested = {"text": {"format": None, "verbosity": None}, "reasoning": {"effort": None, "summary": None}}
    assert asked(**nested, stream_options={"include_obfuscation": None}, metadata={}, tools=[]) == asked()


def test_the_former_name_of_the_reasonings_summary() -> None:
    assert asked(reasoning={"generate_summary": "auto"}).reasoning == {"summary": "auto"}
    assert asked(reasoning={"generate_summary": "auto", "summary": "concise"}).reasoning == {"summary": "concise"}


@pytest.mark.parametrize("form", [{"type": "text"}, {"type": "json_object"}])
def test_forms_without_a_schema(form: dict[str, Any]) -> None:
    assert asked(text={"format": form}).text == {"format": form}


def test_a_schema_keeps_its_nulls() -> None:
    schema = {"enum": [None, "a"], "default": None}
    form = {"type": "json_schema", "name": "n", "schema": schema, "description": None, "strict": None}
    assert asked(text={"format": form}).text == {"format": {"type": "json_schema", "name": "n", "schema": schema}}


def in_format(**values: Any) -> dict[str, Any]:
    return {"text": {"format": changed({"type": "json_schema", "name": "n", "schema": {}}, values)}}


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"model": ...}, "missing_required_parameter", "model"),
    ({"model": ""}, "missing_required_parameter", "model"),
    ({"model": None}, "invalid_type", "model"),
    ({"model": "m" * 257}, "string_too_long", "model"),
    ({"input": ...}, "missing_required_parameter", "input"),
    ({"input": ""}, "missing_required_parameter", "input"),
    ({"input": []}, "missing_required_parameter", "input"),
    ({"input": None}, "invalid_type", "input"),
    ({"input": {"role": CANARY}}, "invalid_type", "input"),
    ({"background": "true"}, "invalid_type", "background"),
    ({"background": 1}, "invalid_type", "background"),
    ({"stream": 1}, "invalid_type", "stream"),
    ({"store": CANARY}, "invalid_type", "store"),
    ({"stream_options": {"include_usage": True}}, "unknown_parameter", "stream_options.include_usage"),
    ({"temperature": -1}, "out_of_range", "temperature"),
    ({"temperature": 1e308}, "out_of_range", "temperature"),
    ({"temperature": 10**39}, "out_of_range", "temperature"),
    ({"temperature": True}, "invalid_type", "temperature"),
    ({"top_p": 1.01}, "out_of_range", "top_p"),
    ({"presence_penalty": -2.1}, "out_of_range", "presence_penalty"),
    ({"frequency_penalty": 2.1}, "out_of_range", "frequency_penalty"),
    ({"top_logprobs": 21}, "out_of_range", "top_logprobs"),
    ({"top_logprobs": -1}, "out_of_range", "top_logprobs"),
    ({"max_output_tokens": 0}, "out_of_range", "max_output_tokens"),
    ({"max_output_tokens": 2**63}, "out_of_range", "max_output_tokens"),
    ({"max_output_tokens": 1.5}, "invalid_type", "max_output_tokens"),
    ({"max_output_tokens": "5"}, "invalid_type", "max_output_tokens"),
    ({"max_tool_calls": 0}, "out_of_range", "max_tool_calls"),
    ({"parallel_tool_calls": "no"}, "invalid_type", "parallel_tool_calls"),
    ({"metadata": {str(number): "" for number in range(17)}}, "too_many_properties", "metadata"),
    ({"metadata": {"k": "v" * 513}}, "string_too_long", "metadata.k"),
    ({"metadata": {CANARY * 10: ""}}, "string_too_long", "metadata"),
    ({"metadata": {"k": 1}}, "invalid_type", "metadata.k"),
    ({"text": {"verbosity": CANARY}}, "invalid_value", "text.verbosity"),
    ({"text": {"format": CANARY}}, "invalid_type", "text.format"),
    ({"text": {"format": {}}}, "missing_required_parameter", "text.format.type"),
    ({"text": {"format": {"type": CANARY}}}, "invalid_value", "text.format.type"),
    ({"text": {"format": {"type": "text", "name": "n"}}}, "unknown_parameter", "text.format.name"),
    (in_format(name=...), "missing_required_parameter", "text.format.name"),
    (in_format(name=CANARY + "!"), "invalid_value", "text.format.name"),
    (in_format(name="n" * 65), "string_too_long", "text.format.name"),
    (in_format(schema=...), "missing_required_parameter", "text.format.schema"),
    (in_format(schema=CANARY), "invalid_type", "text.format.schema"),
    (in_format(schema_={}), "unknown_parameter", "text.format.schema_"),
    ({"reasoning": {"effort": CANARY}}, "invalid_value", "reasoning.effort"),
    ({"reasoning": {"mode": "pro"}}, "unsupported_parameter", "reasoning.mode"),
    ({"reasoning": {"context": "all_turns"}}, "unsupported_parameter", "reasoning.context"),
    ({"truncation": "none"}, "invalid_value", "truncation"),
    ({"include": ["message.output_text.logprobs", CANARY]}, "invalid_value", "include[1]"),
    ({"service_tier": "scale"}, "invalid_value", "service_tier"),
    ({"safety_identifier": "s" * 65}, "string_too_long", "safety_identifier"),
    ({"prompt_cache_retention": CANARY}, "invalid_value", "prompt_cache_retention"),
    ({"user": 1}, "invalid_type", "user"),
    ({"conversation": CANARY}, "unsupported_parameter", "conversation"),
    ({"conversation": {"id": CANARY}}, "unsupported_parameter", "conversation"),
    ({"prompt": {"id": CANARY}}, "unsupported_parameter", "prompt"),
    ({"context_management": [{"type": "compaction"}]}, "unsupported_parameter", "context_management"),
    ({"moderation": {"model": CANARY}}, "unsupported_parameter", "moderation"),
    ({"inputs": CANARY}, "unknown_parameter", "inputs"),
    ({"callback": {"url": CANARY}}, "unknown_parameter", "callback"),
]


@pytest.mark.parametrize(("change", "code", "param"), WRONG)
def test_a_wrong_parameter(change: dict[str, Any], code: str, param: str) -> None:
    assert problem(CreateResponse, changed(GOOD, change)) == (code, param)
