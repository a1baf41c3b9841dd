"""Webhooks as the Standard Webhooks specification has them: events, signatures, and when to try again.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from app.domain.ids import EVENT, prefixed

SECRET_PREFIX = "whsec_"  # noqa: S105 - it is none  # nosec B105
_SECRET_BYTES = 32

RETRY_DELAYS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0)
"""Seconds after the first, second, … failed try. The one after the last failed try is never made."""
MAX_RETRY_AFTER = 36_000.0
"""Seconds that an endpoint may put a delivery off, at most."""
JITTER = 0.2
"""The part by which a delay is longer or shorter, at most: what failed together is not tried again together."""


class EventType(StrEnum):
    """What an endpoint may be told."""

    COMPLETED = "response.completed"
    FAILED = "response.failed"
    CANCELLED = "response.cancelled"
    INCOMPLETE = "response.incomplete"
    TEST = "webhook.test"
    """Sent when its owner asks for it; nobody subscribes to it."""


SUBSCRIBABLE: tuple[EventType, ...] = (
    EventType.COMPLETED,
    EventType.FAILED,
    EventType.CANCELLED,
    EventType.INCOMPLETE,
)

Source = Literal["api", "job"]
"""Who made an endpoint: its owner, or a job that came with a webhook of its own."""


class DeliveryStatus(StrEnum):
    """Where one event stands on its way to one endpoint."""

    PENDING = "pending"
    """Waits for its next try; the sweep sends its message again."""
    IN_PROGRESS = "in_progress"
    """A worker is sending it, until its lease runs out."""
    DELIVERED = "delivered"
    """The endpoint answered with a 2xx. Deleted after the retention."""
    FAILED = "failed"
    """A dead letter: no try is left. Its owner may replay it until the retention is over."""


class DeliveryFailure(StrEnum):
    """Why a delivery is a dead letter."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    ENDPOINT_GONE = "endpoint_gone"
    """It answered 410."""
    ENDPOINT_DISABLED = "endpoint_disabled"
    TOO_OLD = "too_old"
    """It waited behind an endpoint that answers nobody."""


class DisabledReason(StrEnum):
    """Why an endpoint is told nothing any more."""

    OWNER = "disabled_by_owner"
    GONE = "gone"
    FAILING = "failing"
    KEY_REVOKED = "key_revoked"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API key's events go. Times are the database's."""

    id: UUID
    api_key_id: UUID
    source: Source
    url: str
    """Of a job's webhook only scheme, host and port: each of its deliveries has a URL of its own."""
    events: list[str]
    description: str | None
    created_at: datetime
    failing_since: datetime | None = None
    """Since when no delivery succeeded, if the last one failed."""
    disabled_at: datetime | None = None
    disabled_reason: DisabledReason | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver: what came back, or why nothing did."""

    number: int
    started_at: datetime
    duration: float
    """Seconds."""
    status_code: int | None
    error: str | None
    """Why there is no status code."""
    reply: bytes | None
    """The first bytes of the reply's body."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    endpoint_id: UUID
    event_id: UUID
    type: EventType
    data_id: str
    """The public id of what the event is about."""
    status: DeliveryStatus
    attempt: int
    created_at: datetime
    next_attempt_at: datetime | None = None
    ended_at: datetime | None = None
    failure: DeliveryFailure | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """A worker's right to make one try: `attempt` is the fencing token."""

    endpoint_id: UUID
    event_id: UUID
    attempt: int
    failures: int
    """Tries that have failed so far."""
    type: EventType
    data_id: str
    created_at: datetime
    url: str
    secrets: tuple[str, ...]
    """`whsec_…`, the current one first."""
    traceparent: str | None = None
    """Where its job ended, if that was traced."""


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """What signs an endpoint's deliveries from now on."""

    secret: str = field(repr=False)
    created_at: datetime
    previous_expires_at: datetime | None
    """Until when the one before signs as well; None if it does not."""


@dataclass(frozen=True, slots=True)
class JobWebhook:
    """The webhook of one job, as its create asks for it."""

    url: str
    events: tuple[str, ...] = SUBSCRIBABLE


@dataclass(frozen=True, slots=True)
class JobLane:
    """What the row of such a job says of its webhook: `endpoint_id` is that of its key and origin."""

    endpoint_id: UUID
    url: str
    events: tuple[str, ...]


def new_secret() -> str:
    """A signing secret of 256 random bits."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def body_of(claim: DeliveryClaim) -> bytes:
    """The thin event: the same bytes at every try, for the signature covers them.

    What it is about may be gone when it arrives: a delivery can outlive its job's retention.
    """
    event = {
        "id": prefixed(EVENT, claim.event_id),
        "object": "event",
        "type": claim.type.value,
        "created_at": int(claim.created_at.timestamp()),
        "data": {"id": claim.data_id},
    }
    return json.dumps(event, separators=(",", ":")).encode()


def headers_of(claim: DeliveryClaim, body: bytes, *, timestamp: int) -> dict[str, str]:
    """The headers of one try at `timestamp` (Unix seconds), with a signature by each secret that is good."""
    message_id = prefixed(EVENT, claim.event_id)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_sign(secret, message_id, timestamp, body) for secret in claim.secrets),
    }


def _sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def retry_delay(failures: int, *, retry_after: float | None, spread: float) -> float | None:
    """Seconds until the next try after so many failed ones; None if that was the last.

    `retry_after` is what the endpoint asked for; `spread` in [-1, 1] is the jitter's share.
    """
    if failures > len(RETRY_DELAYS):
        return None
    delay = RETRY_DELAYS[failures - 1] * (1 + JITTER * spread)
    return max(delay, min(retry_after or 0, MAX_RETRY_AFTER))


def event_types(names: Sequence[str]) -> tuple[EventType, ...]:
    """The types of these names, each once, in the order of SUBSCRIBABLE. Raises ValueError for any other name."""
    wanted = set(names)
    if unknown := wanted.difference(SUBSCRIBABLE):
        raise ValueError(f"no events of {len(unknown)} of these names")
    return tuple(kind for kind in SUBSCRIBABLE if kind in wanted)
