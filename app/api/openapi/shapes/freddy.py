"""The response object of the Freddy dialect, and its list."""

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from app.api.openapi.shapes.base import Count, Deleted, Incomplete, Metadata, ResponseId, Shape, UnixTime
from app.api.openapi.shapes.items import OutputItem
from app.domain.jobs import Failure


class FreddyUsage(Shape):
    """Tokens as the model server counted them."""

    input_tokens: Count
    output_tokens: Count
    total_tokens: Count


class FreddyError(Shape):
    """Why the response failed."""

    code: Failure
    message: str
    retryable: bool
    """Whether the same request, sent again, may succeed."""


class FreddyResponse(Shape):
    """A response as it is now."""

    id: ResponseId
    object: Literal["response"]
    status: Literal["queued", "in_progress", "completed", "failed", "cancelled"]
    """The last three are final."""
    created_at: UnixTime
    started_at: UnixTime | None = None
    completed_at: UnixTime | None = None
    failed_at: UnixTime | None = None
    cancelled_at: UnixTime | None = None
    expires_at: UnixTime | None = None
    """When the result will be deleted."""
    attempts: Count | None = None
    """How often it was sent to a model server."""
    queue_position: Annotated[int, Field(ge=1)] | None = None
    """The place in its queue, 1 being next."""
    model: str
    metadata: Metadata
    output: list[OutputItem]
    usage: FreddyUsage | None = Field(default_factory=lambda: None)
    """Of a completed response; null if the model server counted nothing."""
    incomplete_details: Incomplete | None = None
    """Why the answer of a completed response was cut off."""
    error: FreddyError | None = None
    instructions: str | None = None
    max_output_tokens: Count | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: ResponseId | None = None
    reasoning: dict[str, Any] | None = None


class FreddyList(Shape):
    """A page of responses."""

    object: Literal["list"]
    data: list[FreddyResponse]
    first_id: ResponseId | None
    last_id: ResponseId | None
    """What to send as `after` for the next page."""
    has_more: bool


class FreddyDeletion(RootModel[FreddyResponse | Deleted]):
    """The response, which was active and is cancelled now; or that it was deleted."""
