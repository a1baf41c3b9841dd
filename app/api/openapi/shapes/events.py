"""The events of a stream, `data:` of one frame each; `event:` equals `type`. After the last comes `data: [DONE]`."""

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from app.api.openapi.shapes.base import Count, Shape
from app.api.openapi.shapes.freddy import FreddyResponse
from app.api.openapi.shapes.items import OutputItem, OutputText, Refusal, SummaryText
from app.api.openapi.shapes.openai import Response

Started = Literal["response.created", "response.queued", "response.in_progress"]
Ended = Literal["response.completed", "response.incomplete", "response.failed"]


class Event(Shape):
    """What all events have."""

    sequence_number: Count
    """The event's place in the stream: 0, 1, 2 … without a gap. `starting_after` takes it."""


class Announcement(Event):
    """The response itself: first as it was created, queued and started, and last as it ended.

    A cancelled one ends with `response.failed`, and its status is `cancelled`.
    """

    type: Started | Ended
    response: Response


class FreddyAnnouncement(Event):
    """The response itself: first as it was created, queued and started, and last as it ended.

    A cancelled one ends with `response.failed`, and its status is `cancelled`.
    """

    type: Started | Ended
    response: FreddyResponse


class ItemEvent(Event):
    """An item of the output begins, or is complete."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: Count
    item: OutputItem


class _InItem(Event):
    item_id: str
    output_index: Count


class PartEvent(_InItem):
    """A part of a message begins, or is complete."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    content_index: Count
    part: OutputText | Refusal


class TextDelta(_InItem):
    """More text."""

    type: Literal["response.output_text.delta"]
    content_index: Count
    delta: str
    logprobs: list[dict[str, Any]]


class TextDone(_InItem):
    """The whole text of a part."""

    type: Literal["response.output_text.done"]
    content_index: Count
    text: str
    logprobs: list[dict[str, Any]]


class AnnotationAdded(_InItem):
    """A citation in the text so far."""

    type: Literal["response.output_text.annotation.added"]
    content_index: Count
    annotation_index: Count
    annotation: dict[str, Any]


class RefusalDelta(_InItem):
    """More of why the model does not answer."""

    type: Literal["response.refusal.delta"]
    content_index: Count
    delta: str


class RefusalDone(_InItem):
    """The whole refusal."""

    type: Literal["response.refusal.done"]
    content_index: Count
    refusal: str


class ArgumentsDelta(_InItem):
    """More of a function call's arguments."""

    type: Literal["response.function_call_arguments.delta"]
    delta: str


class ArgumentsDone(_InItem):
    """All arguments of a function call."""

    type: Literal["response.function_call_arguments.done"]
    name: str
    arguments: str


class SummaryPartEvent(_InItem):
    """A part of the reasoning's summary begins, or is complete."""

    type: Literal["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"]
    summary_index: Count
    part: SummaryText


class SummaryDelta(_InItem):
    """More of the reasoning's summary."""

    type: Literal["response.reasoning_summary_text.delta"]
    summary_index: Count
    delta: str


class SummaryDone(_InItem):
    """The whole text of a part of the summary."""

    type: Literal["response.reasoning_summary_text.done"]
    summary_index: Count
    text: str


OutputEvent = (
    ItemEvent
    | PartEvent
    | TextDelta
    | TextDone
    | AnnotationAdded
    | RefusalDelta
    | RefusalDone
    | ArgumentsDelta
    | ArgumentsDone
    | SummaryPartEvent
    | SummaryDelta
    | SummaryDone
)


class StreamEvent(RootModel[Annotated[Announcement | OutputEvent, Field(discriminator="type")]]):
    """One event of a stream."""


class FreddyStreamEvent(RootModel[Annotated[FreddyAnnouncement | OutputEvent, Field(discriminator="type")]]):
    """One event of a stream."""
