"""Requests of the Freddy dialect, and the canonical requests they mean."""

from typing import Any

import pytest

from app.api.freddy.schemas import CreateResponse
from app.api.validation import validate
from app.domain.requests import JSON, JobRequest, message
from tests.unit.api.jobs import CANARY, changed, problem

MESSAGE = {"role": "user", "texts": [{"text": "hi"}]}
GOOD: dict[str, Any] = {"model": "m", "background": True, "inputs": [MESSAGE]}
FUNCTION: JSON = {"type": "function", "name": "f", "parameters": {"default": None}}
CHAT_FUNCTION: JSON = {"type": "function", "function": {"name": "f", "parameters": {"default": None}}}
SCHEMA: JSON = {"name": "n", "schema": {"x": None}, "strict": True}
FORM: JSON = {"type": "json_schema", **SCHEMA}


def asked(**values: Any) -> JobRequest:
    return validate(CreateResponse, GOOD | values).to_job_request()


def test_the_contracts_body() -> None:
    text = "Write a detailed article about AI"
    body = {"model": "gpt-4.1", "background": True, "inputs": [{"role": "user", "texts": [{"text": text}]}]}
    assert validate(CreateResponse, body).to_job_request() == JobRequest("gpt-4.1", (message("user", text),))


def test_a_client_waits_unless_it_says_otherwise() -> None:
    assert validate(CreateResponse, changed(GOOD, {"background": ...})).to_job_request().background is False


def test_a_body_with_everything() -> None:
    same: dict[str, Any] = {
        "background": True,
        "stream": True,
        "store": False,
        "instructions": "be brief",
        "temperature": 0,
        "top_p": 0.5,
        "max_output_tokens": 2**31 - 1,
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "summary": "concise"},
        "previous_response_id": "resp_1",
        "metadata": {"k" * 64: "v" * 512, "": ""} | {str(number): "" for number in range(14)},
    }
    texts = {"texts": [{"text": "a"}, {"text": ""}]}
    inputs = [{"role": role, **texts} for role in ("system", "assistant", "user")]
    found = asked(**same, inputs=inputs, tools=[FUNCTION, {"type": "web_search", "x": None}], response_format=FORM)
    assert found == JobRequest(
        model="m",
        inputs=(message("system", "a", ""), message("assistant", "a", ""), message("user", "a", "")),
        tools=(FUNCTION, {"type": "web_search", "x": None}),
        text={"format": FORM},
        **same,
    )


def test_null_is_the_same_as_left_out() -> None:
    optional = {name: None for name in CreateResponse.model_fields if name not in {"model", "inputs", "background"}}
    assert asked(**optional) == asked()
    assert asked(background=None, store=None) == asked(background=False)


SPELLINGS = [
    ("max_output_tokens", ["max_output_tokens", "max_output_synapses", "maxTokens", "max_tokens"], 5),
    ("text", ["response_format", "responseFormat"], {"type": "json_object"}),
    ("tool_choice", ["tool_choice", "toolChoice"], "auto"),
    ("previous_response_id", ["previous_response_id", "previousResponseId"], "resp_1"),
    ("metadata", ["organization_id", "organizationId"], "org_1"),
]


@pytest.mark.parametrize(("meant", "names", "value"), SPELLINGS)
def test_every_spelling_means_the_same(meant: str, names: list[str], value: Any) -> None:
    found = [getattr(asked(**{name: value}), meant) for name in names]
    assert found == [{"text": {"format": value}, "metadata": {names[0]: value}}.get(meant, value)] * len(names)


@pytest.mark.parametrize(("_", "names", "value"), SPELLINGS)
def test_two_spellings_at_once(_: str, names: list[str], value: Any) -> None:
    for one in names:
        for other in set(names) - {one}:
            assert problem(CreateResponse, GOOD | {one: value, other: value}) == (
                "invalid_value",
                max(one, other, key=names.index),
            )
            assert asked(**{one: value, other: None}) == asked(**{one: value})


def test_functions_may_be_written_as_in_chat_completions() -> None:
    assert asked(tools=[CHAT_FUNCTION, FUNCTION]).tools == (FUNCTION, FUNCTION)
    choice = {"type": "function", "function": {"name": "f"}}
    assert asked(tools=[CHAT_FUNCTION], toolChoice=choice).tool_choice == {"type": "function", "name": "f"}


@pytest.mark.parametrize("form", [FORM, {"type": "json_schema", "json_schema": SCHEMA}])
def test_schemas_may_be_written_as_in_chat_completions(form: JSON) -> None:
    assert asked(responseFormat=form).text == {"format": FORM}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"effort": "off"}, {"effort": "none"}),
        ({"effort": "maximum", "summary": "auto"}, {"effort": "xhigh", "summary": "auto"}),
        ({"effort": "medium", "summary": "off"}, {"effort": "medium"}),
        ({"summary": "off"}, None),
        ({}, None),
    ],
)
def test_the_dialects_own_words_for_reasoning(given: JSON, meant: JSON | None) -> None:
    assert asked(reasoning=given).reasoning == meant


def test_what_the_dialect_calls_includes_is_passed_on_where_there_is_such_a_thing() -> None:
    found = asked(include=["all", "message.logprobs", "usage.detailed", "reasoning.encrypted", "message.logprobs"])
    assert found.include == ("message.output_text.logprobs", "reasoning.encrypted_content")


def test_scopes_are_kept_in_the_metadata() -> None:
    own = {str(number): "" for number in range(16)}
    scopes = {"organization_id": "o" * 512, "workflow_id": "w"}
    assert asked(**scopes, metadata=own).metadata == scopes | own
    # What a client says of itself by the same name is its own.
    assert asked(organizationId="o", metadata={"organization_id": "mine"}).metadata == {"organization_id": "mine"}


def test_what_asks_for_nothing_is_accepted() -> None:
    nothing: JSON = {"thread_id": None, "vector_store_ids": [], "system_tools": {}, "output_mode": "text"}
    assert asked(**nothing, disable_rules=True, assistantId="") == asked()


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"model": ...}, "missing_required_parameter", "model"),
    ({"model": ""}, "missing_required_parameter", "model"),
    ({"model": None}, "invalid_type", "model"),
    ({"model": 4.1}, "invalid_type", "model"),
    ({"model": "m" * 257}, "string_too_long", "model"),
    ({"inputs": ...}, "missing_required_parameter", "inputs"),
    ({"inputs": []}, "missing_required_parameter", "inputs"),
    ({"inputs": CANARY}, "invalid_type", "inputs"),
    ({"inputs": {}}, "invalid_type", "inputs"),
    ({"inputs": [CANARY]}, "invalid_type", "inputs[0]"),
    ({"background": "true"}, "invalid_type", "background"),
    ({"background": 1}, "invalid_type", "background"),
    ({"stream": 1}, "invalid_type", "stream"),
    ({"temperature": -1}, "out_of_range", "temperature"),
    ({"temperature": 1e308}, "out_of_range", "temperature"),
    ({"temperature": 10**39}, "out_of_range", "temperature"),
    ({"temperature": "1"}, "invalid_type", "temperature"),
    ({"temperature": True}, "invalid_type", "temperature"),
    ({"top_p": 1.01}, "out_of_range", "top_p"),
    ({"max_output_tokens": 0}, "out_of_range", "max_output_tokens"),
    ({"max_output_tokens": 2**31}, "out_of_range", "max_output_tokens"),
    ({"max_output_tokens": 2**63}, "out_of_range", "max_output_tokens"),
    ({"max_output_tokens": 1.0}, "invalid_type", "max_output_tokens"),
    ({"max_output_tokens": True}, "invalid_type", "max_output_tokens"),
    ({"maxTokens": 0}, "out_of_range", "maxTokens"),
    ({"max_output_synapses": 1.5}, "invalid_type", "max_output_synapses"),
    ({"instructions": 1}, "invalid_type", "instructions"),
    ({"metadata": []}, "invalid_type", "metadata"),
    ({"metadata": {str(number): "" for number in range(17)}}, "too_many_properties", "metadata"),
    ({"metadata": {"k": "v" * 513}}, "string_too_long", "metadata.k"),
    ({"metadata": {"k": {"nested": CANARY}}}, "invalid_type", "metadata.k"),
    ({"metadata": {"k": None}}, "invalid_type", "metadata.k"),
    ({"metadata": {CANARY * 10: ""}}, "string_too_long", "metadata"),
    # a key that is called as pydantic calls the place of keys
    ({"metadata": {"[key]": 1}}, "invalid_type", "metadata.[key]"),
    ({"tools": [CHAT_FUNCTION, {"type": "function"}]}, "missing_required_parameter", "tools[1].name"),
    ({"tools": [{"type": "function", "function": {}}]}, "missing_required_parameter", "tools[0].function.name"),
    ({"tools": [CHAT_FUNCTION | {"name": "f"}]}, "unknown_parameter", "tools[0].name"),
    ({"tools": [CANARY]}, "invalid_type", "tools[0]"),
    ({"toolChoice": CANARY}, "invalid_value", "toolChoice"),
    ({"toolChoice": "required"}, "invalid_value", "toolChoice"),
    ({"tool_choice": {"type": "function", "name": "f"}}, "invalid_value", "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {}}}, "missing_required_parameter", "tool_choice.function.name"),
    ({"response_format": {"type": CANARY}}, "invalid_value", "response_format.type"),
    ({"responseFormat": CANARY}, "invalid_type", "responseFormat"),
    ({"responseFormat": {"type": "json_schema"}}, "missing_required_parameter", "responseFormat.name"),
    (
        {"responseFormat": {"type": "json_schema", "json_schema": {"name": "n"}}},
        "missing_required_parameter",
        "responseFormat.json_schema.schema",
    ),
    ({"reasoning": {"effort": CANARY}}, "invalid_value", "reasoning.effort"),
    ({"include": [CANARY]}, "invalid_value", "include[0]"),
    ({"organization_id": "o" * 513}, "string_too_long", "organization_id"),
    ({"organizationId": 5}, "invalid_type", "organizationId"),
    ({"output_mode": "plain"}, "unsupported_parameter", "output_mode"),
    ({"system_tools": {"web_search": {"mode": "on"}}}, "unsupported_parameter", "system_tools"),
    ({"input": CANARY}, "unknown_parameter", "input"),
    ({"modell": CANARY}, "unknown_parameter", "modell"),
    ({"schema": CANARY}, "unknown_parameter", "schema"),
]


@pytest.mark.parametrize(("change", "code", "param"), WRONG)
def test_a_wrong_parameter(change: dict[str, Any], code: str, param: str) -> None:
    assert problem(CreateResponse, changed(GOOD, change)) == (code, param)


@pytest.mark.parametrize(
    "name",
    ["thread_id", "threadId", "assistant_id", "assistantId", "edit_message_id", "previous_message_id", "space_id"],
)
def test_what_asks_for_something_that_is_not_here(name: str) -> None:
    assert problem(CreateResponse, GOOD | {name: CANARY}) == ("unsupported_parameter", name)
    assert problem(CreateResponse, GOOD | {"vector_store_ids": [CANARY]}) == (
        "unsupported_parameter",
        "vector_store_ids",
    )
