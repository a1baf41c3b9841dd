"""The input items of a request, each with the canonical item it means."""

from typing import Annotated, Any, Literal, NoReturn, Self, get_args

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from app.api.parameters import MAX_INPUTS, Detail, ImageUrl, WebUrl
from app.api.validation import Absent, RequestModel, branch, by_type, choice, listed, refused, text_or, wrong
from app.domain.requests import JSON, Role

ItemStatus = Literal["in_progress", "completed", "incomplete"]
NO_FILES = refused("No files are kept here. Send the content in the request, or its address")


class InputText(RequestModel):
    """A text to read."""

    type: Literal["input_text"]
    text: str
    prompt_cache_breakpoint: Annotated[JSON | None, Field(exclude=True)] = None
    """Accepted, and left to the model server."""


class InputImage(RequestModel):
    """An image to look at."""

    type: Literal["input_image"]
    # First, so that an image without an address is told what is wrong with it.
    file_id: Annotated[Absent, NO_FILES] = None
    image_url: ImageUrl
    detail: Detail | None = None
    prompt_cache_breakpoint: Annotated[JSON | None, Field(exclude=True)] = None
    """Accepted, and left to the model server."""


class InputFile(RequestModel):
    """A file to read: `file_data` or `file_url`."""

    type: Literal["input_file"]
    file_data: Annotated[str, Field(min_length=1)] | None = None
    """The content in base64, or as a data URL."""
    file_url: WebUrl | None = None
    filename: str | None = None
    detail: Literal["auto", "low", "high"] | None = None
    file_id: Annotated[Absent, NO_FILES] = None
    prompt_cache_breakpoint: Annotated[JSON | None, Field(exclude=True)] = None
    """Accepted, and left to the model server."""

    @model_validator(mode="after")
    def _has_content(self) -> Self:
        if (self.file_data is None) is (self.file_url is None):
            raise wrong("A file needs either `file_data` or `file_url`")
        return self


Objects = Annotated[list[JSON], Field(fail_fast=True)]


class OutputText(RequestModel):
    """A text that the model said."""

    type: Literal["output_text"]
    text: str
    annotations: Objects | None = None
    logprobs: Objects | None = None


class Refusal(RequestModel):
    """Why the model did not answer."""

    type: Literal["refusal"]
    refusal: str


InputPart = Annotated[
    Annotated[InputText, branch("input_text")]
    | Annotated[InputImage, branch("input_image")]
    | Annotated[InputFile, branch("input_file")],
    by_type("input_text", "input_image", "input_file"),
]
OutputPart = Annotated[
    Annotated[OutputText, branch("output_text")]
    | Annotated[Refusal, branch("refusal")]
    | Annotated[InputText, branch("input_text")],
    by_type("output_text", "refusal", "input_text"),
]
InputParts = Annotated[list[InputPart], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
OutputParts = Annotated[list[OutputPart], Field(max_length=MAX_INPUTS, fail_fast=True)]


def _any_role(role: Any) -> Any:
    # The branch of InputMessage is taken for every role but `assistant`, which is to be named, too.
    if role not in get_args(Role):
        raise PydanticCustomError("invalid_value", f"Input should be {listed(get_args(Role))}")
    return role


Phase = Literal["commentary", "final_answer"]


class InputMessage(RequestModel):
    """What the model is told."""

    type: Literal["message"] = "message"
    role: Annotated[Literal["user", "system", "developer"], BeforeValidator(_any_role)]
    content: Annotated[
        Annotated[str, branch("text")] | Annotated[InputParts, branch("list")], text_or("a list of parts")
    ]
    id: str | None = None
    status: ItemStatus | None = None
    phase: Annotated[Phase | None, Field(exclude=True)] = None
    """Accepted, and without a meaning here."""

    def to_item(self) -> JSON:
        """The canonical item: its content is a list."""
        if isinstance(self.content, str):
            parts: list[JSON] = [{"type": "input_text", "text": self.content}]
        else:
            parts = [part.given() for part in self.content]
        return {"type": "message", **self.given(without="content"), "content": parts}


class AssistantMessage(RequestModel):
    """What the model said."""

    type: Literal["message"] = "message"
    role: Literal["assistant"]
    content: Annotated[
        Annotated[str, branch("text")] | Annotated[OutputParts, branch("list")], text_or("a list of parts")
    ]
    id: str | None = None
    status: ItemStatus | None = None
    phase: Phase | None = None
    """Whether it was a comment on the way or the answer."""

    def to_item(self) -> JSON:
        """The canonical item: its content is a list, all texts of it `output_text`."""
        if isinstance(self.content, str):
            parts: list[JSON] = [{"type": "output_text", "text": self.content}]
        else:
            parts = [_said(part) for part in self.content]
        return {"type": "message", **self.given(without="content"), "content": parts}


def _said(part: OutputText | Refusal | InputText) -> JSON:
    return {**part.given(), "type": "output_text"} if isinstance(part, InputText) else part.given()


class FunctionCall(RequestModel):
    """A function that the model wanted to be called."""

    type: Literal["function_call"]
    call_id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    arguments: str
    id: str | None = None
    status: ItemStatus | None = None
    namespace: str | None = None
    """Passed on to model servers of the Responses API."""
    caller: JSON | None = None
    """Passed on to model servers of the Responses API."""

    def to_item(self) -> JSON:
        """The canonical item."""
        return self.given()


class FunctionCallOutput(RequestModel):
    """What the function that the model called has returned."""

    type: Literal["function_call_output"]
    call_id: Annotated[str, Field(min_length=1)]
    output: Annotated[
        Annotated[str, branch("text")] | Annotated[InputParts, branch("list")], text_or("a list of parts")
    ]
    id: str | None = None
    status: ItemStatus | None = None
    name: str | None = None
    """Passed on to model servers of the Responses API."""
    namespace: str | None = None
    """Passed on to model servers of the Responses API."""
    caller: JSON | None = None
    """Passed on to model servers of the Responses API."""

    def to_item(self) -> JSON:
        """The canonical item."""
        output = self.output if isinstance(self.output, str) else [part.given() for part in self.output]
        return {**self.given(without="output"), "output": output}


class SummaryText(RequestModel):
    """A part of a summary."""

    type: Literal["summary_text"]
    text: str


class ReasoningText(RequestModel):
    """A part of what the model thought."""

    type: Literal["reasoning_text"]
    text: str


class Reasoning(RequestModel):
    """What the model thought, from an earlier response."""

    type: Literal["reasoning"]
    summary: Annotated[list[SummaryText], Field(max_length=MAX_INPUTS, fail_fast=True)]
    content: Annotated[list[ReasoningText], Field(max_length=MAX_INPUTS, fail_fast=True)] | None = None
    encrypted_content: str | None = None
    """The same as only the model server can read it; reasoning without it is not shown to the model."""
    id: str | None = None
    status: ItemStatus | None = None

    def to_item(self) -> JSON:
        """The canonical item."""
        return self.given()


class HostedCall(RequestModel):
    """What a tool of the model server did, such as `web_search_call`, from an earlier response; passed on as it is."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(pattern="_call$", examples=["web_search_call"])]

    def to_item(self) -> JSON:
        """The canonical item."""
        return self.model_dump()


def _reference(_: Any) -> NoReturn:
    message = "Items are kept with their response alone. Send the item itself, or `previous_response_id`"
    raise wrong(message, "type", code="unsupported_parameter")


_KINDS = ("message", "function_call", "function_call_output", "reasoning", "item_reference")


def _kind(item: Any) -> str | None:
    if not isinstance(item, dict):
        return "message"
    kind = item.get("type")
    if kind is None:
        # OpenAI lets the type out of messages and of references, which have nothing but an id.
        return "item_reference" if "id" in item and "role" not in item else _speaker(item)
    if kind == "message":
        return _speaker(item)
    if isinstance(kind, str) and kind.endswith("_call") and kind not in _KINDS:
        return "hosted"
    return kind if kind in _KINDS else None


def _speaker(item: JSON) -> str:
    return "assistant" if item.get("role") == "assistant" else "message"


InputItem = Annotated[
    Annotated[InputMessage, branch("message")]
    | Annotated[AssistantMessage, branch("assistant")]
    | Annotated[FunctionCall, branch("function_call")]
    | Annotated[FunctionCallOutput, branch("function_call_output")]
    | Annotated[Reasoning, branch("reasoning")]
    | Annotated[HostedCall, branch("hosted")]
    | Annotated[SkipJsonSchema[InputMessage], BeforeValidator(_reference), branch("item_reference")],
    choice(_kind, f"{listed(_KINDS[:-1])}, or end in '_call'", error="unknown_type"),
]
InputItems = Annotated[list[InputItem], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
