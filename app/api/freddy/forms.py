"""Tools, formats and reasoning, written as in chat completions or as in the Responses API, and their stored forms."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.openai.formats import FORMATS, JsonObject, JsonSchema, JsonSchemaFormat, PlainText, format_kind
from app.api.openai.tools import (
    CHOICES,
    AllowedTools,
    Function,
    FunctionChoice,
    FunctionTool,
    HostedChoice,
    HostedTool,
    StoredChoice,
    ToolMode,
    choice_kind,
    stored_choice,
    stored_tool,
    tool_kind,
)
from app.api.parameters import MAX_TOOLS, Identifier
from app.api.validation import RequestModel, branch, choice
from app.domain.requests import JSON


class ChatTool(RequestModel):
    """A function, as chat completions write it."""

    type: Literal["function"]
    function: Function


class Named(RequestModel):
    """A function's name."""

    name: Identifier


class ChatChoice(RequestModel):
    """The function to call, as chat completions write it."""

    type: Literal["function"]
    function: Named


class ChatFormat(RequestModel):
    """JSON that follows a schema, as chat completions write it."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class Reasoning(RequestModel):
    """How the model thinks, if it does."""

    effort: Literal["off", "none", "minimal", "low", "medium", "high", "maximum", "xhigh", "max"] | None = None
    """`off` is `none`, and `maximum` is `xhigh`."""
    summary: Literal["off", "auto", "concise", "detailed"] | None = None
    """Whether to tell what it thought."""

    def to_reasoning(self) -> JSON:
        """The stored form; empty if nothing was asked for."""
        effort = {"off": "none", "maximum": "xhigh"}.get(self.effort or "", self.effort)
        summary = None if self.summary == "off" else self.summary
        return {name: value for name, value in (("effort", effort), ("summary", summary)) if value is not None}


def _tool_kind(tool: Any) -> str:
    kind = tool_kind(tool)
    return "chat" if kind == "function" and isinstance(tool, dict) and "function" in tool else kind


def _choice_kind(wanted: Any) -> str | None:
    kind = choice_kind(wanted)
    return "chat" if kind == "function" and "function" in wanted else kind


def _format_kind(form: Any) -> str | None:
    if isinstance(form, dict) and form.get("type") == "json_schema" and "json_schema" in form:
        return "chat"
    return format_kind(form)


Tool = Annotated[
    Annotated[FunctionTool, branch("function")]
    | Annotated[ChatTool, branch("chat")]
    | Annotated[HostedTool, branch("hosted")],
    choice(_tool_kind, "an object"),
]
Tools = Annotated[list[Tool], Field(max_length=MAX_TOOLS, fail_fast=True)]
ToolChoice = Annotated[
    Annotated[ToolMode, branch("mode")]
    | Annotated[FunctionChoice, branch("function")]
    | Annotated[ChatChoice, branch("chat")]
    | Annotated[AllowedTools, branch("allowed_tools")]
    | Annotated[HostedChoice, branch("hosted")],
    choice(_choice_kind, CHOICES),
]
ResponseFormat = Annotated[
    Annotated[PlainText, branch("text")]
    | Annotated[JsonObject, branch("json_object")]
    | Annotated[JsonSchemaFormat, branch("json_schema")]
    | Annotated[ChatFormat, branch("chat")],
    choice(_format_kind, FORMATS, error="unknown_type"),
]


def to_tool(tool: Tool) -> JSON:
    """The tool in its stored form."""
    return {"type": "function", **tool.function.given()} if isinstance(tool, ChatTool) else stored_tool(tool)


def to_choice(wanted: ToolChoice | None) -> StoredChoice:
    """The choice in its stored form."""
    if isinstance(wanted, ChatChoice):
        return {"type": "function", "name": wanted.function.name}
    return stored_choice(wanted)


def to_format(form: ResponseFormat) -> JSON:
    """The format in its stored form."""
    return {"type": "json_schema", **form.json_schema.given()} if isinstance(form, ChatFormat) else form.given()
