"""The response object of the OpenAI dialect, and its lists."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.openapi.shapes.base import Count, Incomplete, Metadata, ResponseId, Shape, UnixTime
from app.api.openapi.shapes.items import ItemStatus, OutputItem
from app.domain.jobs import Failure

Amount = Annotated[float, Field(examples=[1.0])]


class InputTokens(Shape):
    """Of the input tokens."""

    cached_tokens: Count
    cache_write_tokens: Count


class OutputTokens(Shape):
    """Of the output tokens."""

    reasoning_tokens: Count


class Usage(Shape):
    """Tokens as the model server counted them; zeros until they are known."""

    input_tokens: Count
    input_tokens_details: InputTokens
    output_tokens: Count
    output_tokens_details: OutputTokens
    total_tokens: Count


class ResponseError(Shape):
    """Why the response failed."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    """One of OpenAI's codes."""
    message: str
    failure_code: Failure
    """The service's own code, which says more."""
    retryable: bool
    """Whether the same request, sent again, may succeed."""


class Response(Shape):
    """A response as it is now. Parameters that were not given show their defaults."""

    id: ResponseId
    object: Literal["response"]
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    """The last four are final."""
    created_at: UnixTime
    started_at: UnixTime | None = None
    completed_at: UnixTime | None
    failed_at: UnixTime | None = None
    cancelled_at: UnixTime | None = None
    expires_at: UnixTime | None = None
    """When the result will be deleted."""
    attempts: Count | None = None
    """How often it was sent to a model server."""
    queue_position: Annotated[int, Field(ge=1)] | None = None
    """The place in its queue, 1 being next."""
    error: ResponseError | None
    incomplete_details: Incomplete | None
    output: list[OutputItem]
    usage: Usage
    model: str
    background: bool
    store: bool
    metadata: Metadata
    instructions: str | None
    previous_response_id: ResponseId | None
    max_output_tokens: Count | None
    max_tool_calls: Count | None
    temperature: Amount
    top_p: Amount
    presence_penalty: Amount
    frequency_penalty: Amount
    top_logprobs: Count
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    parallel_tool_calls: bool
    text: dict[str, Any]
    reasoning: dict[str, Any]
    truncation: Literal["auto", "disabled"]
    service_tier: Literal["default", "flex", "priority"]
    safety_identifier: str | None
    prompt_cache_key: str | None
    user: str | None = None


class ResponseList(Shape):
    """A page of responses."""

    object: Literal["list"]
    data: list[Response]
    first_id: ResponseId | None
    last_id: ResponseId | None
    """What to send as `after` for the next page."""
    has_more: bool


class InputItem(Shape):
    """What the model was shown: a message, a function call, its output, reasoning, or a hosted tool's call."""

    model_config = ConfigDict(extra="allow")

    id: str
    type: str
    status: ItemStatus


class InputItemList(Shape):
    """A page of what the model was shown."""

    object: Literal["list"]
    data: list[InputItem]
    first_id: str
    """Empty if the page is."""
    last_id: str
    """What to send as `after` for the next page; empty if the page is."""
    has_more: bool
