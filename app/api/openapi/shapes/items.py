"""The items of a conversation: what the model says, and what it is shown."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.openapi.shapes.base import Shape

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(Shape):
    """Text that the model wrote."""

    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]]
    """Citations, as the model server gave them."""
    logprobs: list[dict[str, Any]]
    """Log probabilities of the tokens, if they were asked for."""


class Refusal(Shape):
    """Why the model does not answer."""

    type: Literal["refusal"]
    refusal: str


class OutputMessage(Shape):
    """What the model says."""

    id: str
    type: Literal["message"]
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputText | Refusal]


class FunctionCall(Shape):
    """A function that the model wants to be called. Send the result as `function_call_output` in the next request."""

    id: str
    type: Literal["function_call"]
    status: ItemStatus
    call_id: str
    """The id that the `function_call_output` must name."""
    name: str
    arguments: str
    """JSON, as the model wrote it: it may be invalid."""


class SummaryText(Shape):
    """One part of a summary."""

    type: Literal["summary_text"]
    text: str


class Reasoning(Shape):
    """What the model thought."""

    id: str
    type: Literal["reasoning"]
    status: ItemStatus
    summary: list[SummaryText]
    encrypted_content: str | None = None
    """The reasoning as only the model server can read it; send it back in the next request."""


class HostedCall(Shape):
    """What a tool did that the model server runs itself, such as `web_search_call`, as that server told it."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[
        str,
        Field(
            examples=["web_search_call"],
            json_schema_extra={"not": {"enum": ["message", "function_call", "reasoning"]}},
        ),
    ]


OutputItem = OutputMessage | FunctionCall | Reasoning | HostedCall
