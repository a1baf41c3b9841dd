"""What the routes of webhooks answer."""

from typing import Annotated, Literal

from pydantic import Field

from app.api.openapi.shapes.base import Count, Shape, UnixTime
from app.domain.webhooks import DeliveryFailure, DeliveryStatus, DisabledReason, EventType

EndpointId = Annotated[str, Field(pattern=r"^whe_[0-9a-f]{32}$", examples=["whe_0198f3c2a1b47d0c9e5f2a6b8c7d1e03"])]
EventId = Annotated[str, Field(pattern=r"^evt_[0-9a-f]{32}$", examples=["evt_0198f3c2a1b47d0c9e5f2a6b8c7d1e03"])]
Secret = Annotated[str, Field(pattern=r"^whsec_[A-Za-z0-9+/]+=*$")]


class WebhookEndpoint(Shape):
    """Where events go."""

    id: EndpointId
    object: Literal["webhook_endpoint"]
    source: Literal["api", "job"]
    """`job`: it came with the `webhook` of single responses, and stands for all of them at one server."""
    url: str
    """Of source `job`: scheme, host and port."""
    events: list[EventType]
    """What it is told of all your responses; empty if its source is `job`."""
    description: str | None
    enabled: bool
    disabled_at: UnixTime | None
    disabled_reason: DisabledReason | None
    """`gone`: it answered 410. `failing`: nothing could be delivered for days."""
    failing_since: UnixTime | None
    """Since when nothing could be delivered, if the last try failed."""
    created_at: UnixTime


class NewWebhookEndpoint(WebhookEndpoint):
    """A new endpoint, with its secret."""

    secret: Secret
    """What its deliveries are signed with. It is shown this once."""


class WebhookEndpointList(Shape):
    """A page of endpoints."""

    object: Literal["list"]
    data: list[WebhookEndpoint]
    first_id: EndpointId | None
    last_id: EndpointId | None
    """What to send as `after` for the next page."""
    has_more: bool


class DeletedWebhookEndpoint(Shape):
    """What is left of an endpoint that was deleted."""

    id: EndpointId
    object: Literal["webhook_endpoint"]
    deleted: Literal[True]


class WebhookSecret(Shape):
    """What deliveries are signed with."""

    object: Literal["webhook_secret"]
    endpoint_id: EndpointId | None
    """null: it signs the webhooks of single responses."""
    secret: Secret
    created_at: UnixTime
    previous_expires_at: UnixTime | None
    """Until when the secret before signs as well."""


class DeliveredData(Shape):
    """What an event is about."""

    id: str
    """Of the response; of the endpoint itself if it is a test."""


class ListedWebhookDelivery(Shape):
    """One event on its way to one endpoint."""

    id: EventId
    """The event's; the header `webhook-id` of every try."""
    object: Literal["webhook_delivery"]
    endpoint_id: EndpointId
    type: EventType
    data: DeliveredData
    status: DeliveryStatus
    attempt: Count
    """How often it was sent, or begun to be."""
    created_at: UnixTime
    next_attempt_at: UnixTime | None
    ended_at: UnixTime | None
    failure: DeliveryFailure | None
    """Why it was given up."""


class WebhookAttempt(Shape):
    """One try to deliver."""

    number: Count
    started_at: UnixTime
    duration_ms: Count
    status_code: int | None
    """null: there was no reply, and `error` says why."""
    error: str | None
    reply: str | None
    """The first kilobyte of the reply's body."""


class WebhookDelivery(ListedWebhookDelivery):
    """The same with what was tried."""

    attempts: list[WebhookAttempt]


class WebhookDeliveryList(Shape):
    """A page of deliveries, newest first."""

    object: Literal["list"]
    data: list[ListedWebhookDelivery]
    first_id: EventId | None
    last_id: EventId | None
    """What to send as `after` for the next page."""
    has_more: bool


class WebhookReplay(Shape):
    """What is sent once more."""

    object: Literal["webhook_replay"]
    replayed: Count
    """How many deliveries."""
    has_more: bool
    """Whether there may be more: ask again."""
