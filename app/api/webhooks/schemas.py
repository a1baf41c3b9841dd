"""What requests about webhooks may hold, and the `webhook` of a create."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.api.queries import UNIX_TIME_MAX, Order, PageLimit, Query
from app.api.validation import RequestModel
from app.domain.ids import ENDPOINT, EVENT, parse_prefixed
from app.domain.webhooks import SUBSCRIBABLE, DeliveryStatus, JobWebhook
from app.services.webhooks import DeliveryFilter, EndpointFilter

MAX_OVERLAP = 604_800
"""Seconds for which a rotated secret may sign on, at most."""
DEFAULT_OVERLAP = 86_400

Event = Literal["response.completed", "response.failed", "response.cancelled", "response.incomplete"]


Url = Annotated[str, Field(max_length=2_048, examples=["https://example.com/simmer"])]
Events = Annotated[list[Event], Field(min_length=1, max_length=len(SUBSCRIBABLE), examples=[["response.completed"]])]
Description = Annotated[str, Field(max_length=512, examples=["The news desk's inbox"])]


class Webhook(RequestModel):
    """Where to tell of the end of this one response."""

    url: Url
    """An https:// address that anybody on the internet can reach."""
    events: Events | None = None
    """Which of the ends to tell; all if it is left out."""

    def to_job_webhook(self) -> JobWebhook:
        """The same for the service."""
        return JobWebhook(self.url, SUBSCRIBABLE if self.events is None else tuple(dict.fromkeys(self.events)))


class CreateEndpoint(RequestModel):
    """A webhook endpoint to be."""

    url: Url
    """An https:// address that anybody on the internet can reach."""
    events: Events | None = None
    """What to tell it of all your responses; everything if it is left out."""
    description: Description | None = None
    """For people."""


class UpdateEndpoint(RequestModel):
    """What to change of a webhook endpoint. What is left out stays as it is."""

    url: Url | None = None
    """Another address. Deliveries that wait go there, too."""
    events: Events | None = None
    """What to tell it of from now on."""
    description: Description | None = None
    """For people; null takes it away."""
    enabled: bool | None = None
    """`false`: it is told nothing, and what waits is given up. `true`: it is told again, whatever disabled it."""

    def changes(self) -> dict[str, Any]:
        """What to set, but for `enabled`."""
        given = self.model_dump(exclude_unset=True, exclude={"enabled"})
        return {name: value for name, value in given.items() if value is not None or name == "description"}


class Rotate(RequestModel):
    """How to rotate a secret."""

    overlap: Annotated[int, Field(ge=0, le=MAX_OVERLAP)] = DEFAULT_OVERLAP
    """For how many seconds the secret before signs as well. 0: it has leaked."""


class ReplayFailed(RequestModel):
    """Which deliveries to send once more."""

    since: Annotated[int, Field(ge=0, le=UNIX_TIME_MAX, examples=[1741476542])]
    """Those that were given up at this Unix time or later."""

    @property
    def time(self) -> datetime:
        """The same for the service."""
        return datetime.fromtimestamp(self.since, UTC)


def _id_of(prefix: str, what: str) -> AfterValidator:
    def check(text: str) -> str:
        if parse_prefixed(prefix, text) is None:
            raise PydanticCustomError("invalid_value", f"Give the id of {what}")
        return text

    return AfterValidator(check)


class EndpointsQuery(Query):
    """The query of a list of endpoints."""

    limit: PageLimit = 20
    order: Order = "desc"
    after: Annotated[str, _id_of(ENDPOINT, "a webhook endpoint")] | None = None
    """The id of the endpoint before the page."""
    source: Literal["api", "job"] | None = None
    """`api`: those that you made. `job`: those that the `webhook` of single responses made, one for each server."""

    def to_filter(self) -> EndpointFilter:
        """The same for the service."""
        after = parse_prefixed(ENDPOINT, self.after) if self.after else None
        return EndpointFilter(self.limit, self.order, after, self.source)


class DeliveriesQuery(Query):
    """The query of a list of deliveries, newest first."""

    limit: PageLimit = 20
    after: Annotated[str, _id_of(EVENT, "an event")] | None = None
    """The id of the event before the page."""
    status: Literal["pending", "in_progress", "delivered", "failed"] | None = None
    """Only deliveries of this status."""

    def to_filter(self) -> DeliveryFilter:
        """The same for the service."""
        after = parse_prefixed(EVENT, self.after) if self.after else None
        return DeliveryFilter(self.limit, after, DeliveryStatus(self.status) if self.status else None)
