"""The tools of a request, and which of them the model is to use."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.parameters import MAX_TOOLS, Identifier
from app.api.validation import RequestModel, branch, choice, wrong
from app.domain.requests import JSON


class Function(RequestModel):
    """A function of yours."""

    name: Identifier
    description: str | None = None
    parameters: JSON | None = None
    """The JSON schema of its arguments."""
    strict: bool | None = None
    """Whether the arguments must follow the schema exactly."""


class FunctionTool(Function):
    """A function of yours that the model may want to be called."""

    type: Literal["function"]


class HostedTool(RequestModel):
    """A tool that the model server runs itself, such as `web_search`; passed on as it is, if the model has it."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[
        str,
        Field(min_length=1, examples=["web_search"], json_schema_extra={"not": {"const": "function"}}),
    ]


def tool_kind(tool: Any) -> str:
    """The branch of Tool that a value means."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    return "hosted" if isinstance(kind, str) and kind != "function" else "function"


Tool = Annotated[
    Annotated[FunctionTool, branch("function")] | Annotated[HostedTool, branch("hosted")],
    choice(tool_kind, "an object"),
]
Tools = Annotated[list[Tool], Field(max_length=MAX_TOOLS, fail_fast=True)]


class FunctionChoice(RequestModel):
    """The function to call."""

    type: Literal["function"]
    name: Identifier


class AllowedTool(RequestModel):
    """One of the tools, such as `{"type": "function", "name": "…"}`."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(min_length=1)]
    name: str | None = None


class AllowedTools(RequestModel):
    """Only some of the tools."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[AllowedTool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


class HostedChoice(RequestModel):
    """A tool of the model server; passed on as it is."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[
        str,
        Field(
            min_length=1, examples=["web_search"], json_schema_extra={"not": {"enum": ["function", "allowed_tools"]}}
        ),
    ]


def choice_kind(wanted: Any) -> str | None:
    """The branch of ToolChoice that a value means; None if it means none."""
    if isinstance(wanted, str):
        return "mode"
    if not isinstance(wanted, dict):
        return None
    kind = wanted.get("type")
    return kind if kind in ("function", "allowed_tools") else "hosted"


CHOICES = "'none', 'auto', 'required' or an object"
ToolMode = Literal["none", "auto", "required"]
ToolChoice = Annotated[
    Annotated[ToolMode, branch("mode")]
    | Annotated[FunctionChoice, branch("function")]
    | Annotated[AllowedTools, branch("allowed_tools")]
    | Annotated[HostedChoice, branch("hosted")],
    choice(choice_kind, CHOICES),
]


StoredChoice = str | JSON | None


def stored_tool(tool: FunctionTool | HostedTool) -> JSON:
    """The tool in its stored form: a function without what was not given, all else unchanged."""
    return tool.given() if isinstance(tool, FunctionTool) else tool.model_dump()


def stored_choice(wanted: ToolMode | FunctionChoice | AllowedTools | HostedChoice | None) -> StoredChoice:
    """The choice in its stored form."""
    return wanted.model_dump(exclude_none=True) if isinstance(wanted, RequestModel) else wanted


def check_choice(tools: Sequence[JSON], wanted: StoredChoice, param: str) -> None:
    """Refuse a choice that these tools don't offer: the model server would do so only when the job runs."""
    if wanted in (None, "none", "auto"):
        return
    if not tools:
        raise wrong("There are no `tools` to choose from. Give some, or leave this out", param)
    if not isinstance(wanted, dict):
        return
    functions = {tool["name"] for tool in tools if tool["type"] == "function"}
    chosen = wanted["tools"] if wanted["type"] == "allowed_tools" else [wanted]
    if any(tool["type"] == "function" and tool.get("name") not in functions for tool in chosen):
        raise wrong("There is no such function in `tools`. Choose one of those", param)
