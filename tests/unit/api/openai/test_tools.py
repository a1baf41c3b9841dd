"""Tools, and which of them the model is to use."""

from typing import Any

import pytest

from app.api.openai.schemas import CreateResponse
from app.api.parameters import MAX_TOOLS
from app.api.validation import validate
from app.domain.requests import JSON, JobRequest
from tests.unit.api.jobs import CANARY, changed, problem

GOOD: JSON = {"model": "m", "input": "hi"}
FUNCTION: JSON = {"type": "function", "name": "f"}
HOSTED: JSON = {"type": "web_search", "filters": {"allowed_domains": ["x.org"], "blocked": None}, "size": None}


def asked(**values: Any) -> JobRequest:
    return validate(CreateResponse, GOOD | values).to_job_request()


def test_a_function_says_what_it_was_given() -> None:
    nulls = {"description": None, "parameters": None, "strict": None}
    parameters = {"type": "object", "properties": {"a": {"enum": [None]}}, "x": None}
    whole = {"description": "d", "parameters": parameters, "strict": True}
    found = asked(tools=[FUNCTION, FUNCTION | nulls, FUNCTION | whole])
    assert found.tools == (FUNCTION, FUNCTION, FUNCTION | whole)


def test_a_hosted_tool_is_kept_as_it_is() -> None:
    assert asked(tools=[HOSTED]).tools == (HOSTED,)


@pytest.mark.parametrize(
    "wanted",
    [
        "none",
        "auto",
        "required",
        {"type": "function", "name": "f"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}, {"type": "function", "name": "f"}]},
        {"type": "web_search"},
        {"type": "mcp", "server_label": "s", "name": "n"},
    ],
)
def test_a_choice_is_kept_as_it_is(wanted: str | JSON) -> None:
    assert asked(tools=[FUNCTION, HOSTED], tool_choice=wanted).tool_choice == wanted


def test_allowed_tools_are_a_matter_of_choice_unless_it_says_otherwise() -> None:
    wanted = {"type": "allowed_tools", "tools": [{"type": "function", "name": "f"}]}
    assert asked(tools=[FUNCTION], tool_choice=wanted).tool_choice == wanted | {"mode": "auto"}


@pytest.mark.parametrize("wanted", ["none", "auto"])
def test_without_tools_there_may_be_a_choice_that_needs_none(wanted: str) -> None:
    assert asked(tool_choice=wanted).tool_choice == wanted


@pytest.mark.parametrize(
    ("tool", "code", "param"),
    [
        (CANARY, "invalid_type", "tools[1]"),
        ({"name": "f"}, "missing_required_parameter", "tools[1].type"),
        ({"name": "f", "type": None}, "invalid_value", "tools[1].type"),
        ({"type": ""}, "missing_required_parameter", "tools[1].type"),
        ({"type": "function"}, "missing_required_parameter", "tools[1].name"),
        (FUNCTION | {"name": ""}, "missing_required_parameter", "tools[1].name"),
        (FUNCTION | {"name": "n" * 65}, "string_too_long", "tools[1].name"),
        (FUNCTION | {"name": f"{CANARY}!"}, "invalid_value", "tools[1].name"),
        (FUNCTION | {"name": "é"}, "invalid_value", "tools[1].name"),
        (FUNCTION | {"name": "f\n"}, "invalid_value", "tools[1].name"),
        (FUNCTION | {"parameters": CANARY}, "invalid_type", "tools[1].parameters"),
        (FUNCTION | {"strict": "yes"}, "invalid_type", "tools[1].strict"),
        (FUNCTION | {"function": {}}, "unknown_parameter", "tools[1].function"),
    ],
)
def test_a_wrong_tool(tool: Any, code: str, param: str) -> None:
    assert problem(CreateResponse, GOOD | {"tools": [FUNCTION, tool]}) == (code, param)


def test_too_many_tools() -> None:
    assert problem(CreateResponse, GOOD | {"tools": [FUNCTION] * (MAX_TOOLS + 1)}) == ("array_too_long", "tools")
    assert problem(CreateResponse, GOOD | {"tools": FUNCTION}) == ("invalid_type", "tools")


ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION]}


@pytest.mark.parametrize(
    ("wanted", "code", "param"),
    [
        (CANARY, "invalid_value", "tool_choice"),
        (5, "invalid_type", "tool_choice"),
        ([], "invalid_type", "tool_choice"),
        ({}, "missing_required_parameter", "tool_choice.type"),
        ({"type": None}, "invalid_type", "tool_choice.type"),
        ({"type": "function"}, "missing_required_parameter", "tool_choice.name"),
        (FUNCTION | {"x": 1}, "unknown_parameter", "tool_choice.x"),
        (FUNCTION | {"name": CANARY}, "invalid_value", "tool_choice"),
        (ALLOWED | {"mode": "none"}, "invalid_value", "tool_choice.mode"),
        (ALLOWED | {"tools": []}, "missing_required_parameter", "tool_choice.tools"),
        (ALLOWED | {"tools": [CANARY]}, "invalid_type", "tool_choice.tools[0]"),
        (ALLOWED | {"tools": [{}]}, "missing_required_parameter", "tool_choice.tools[0].type"),
        (ALLOWED | {"tools": [FUNCTION, {"type": "function", "name": CANARY}]}, "invalid_value", "tool_choice"),
        (ALLOWED | {"tools": [{"type": "function"}]}, "invalid_value", "tool_choice"),
    ],
)
def test_a_wrong_choice(wanted: Any, code: str, param: str) -> None:
    assert problem(CreateResponse, GOOD | {"tools": [FUNCTION], "tool_choice": wanted}) == (code, param)


@pytest.mark.parametrize("wanted", ["required", FUNCTION, ALLOWED, {"type": "web_search"}])
@pytest.mark.parametrize("tools", [..., None, []])
def test_nothing_to_choose_from(wanted: Any, tools: Any) -> None:
    body = changed(GOOD, {"tool_choice": wanted, "tools": tools})
    assert problem(CreateResponse, body) == ("invalid_value", "tool_choice")
