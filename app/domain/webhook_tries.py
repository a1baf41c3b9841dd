"""One try to deliver a webhook: how it ended, and what its end means."""

from dataclasses import dataclass

from app.domain.webhooks import DeliveryFailure, DeliveryStatus, DisabledReason

WORKER_LOST = "worker_lost"
WORKER_STOPPED = "worker_stopped"
SERVER_ERROR = "server_error"
"""Errors of tries besides those of SendFailure: the try ended with its worker, it was handed back, or it met a bug."""
_GONE = 410


class SecretError(Exception):
    """The deliveries of an endpoint can't be signed: a secret does not open here and now, or there is none."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came back, or why nothing did."""

    duration: float
    """Seconds."""
    status_code: int | None = None
    error: str | None = None
    reply: bytes | None = None
    retry_after: float | None = None
    """Seconds that the endpoint asks to wait."""

    @property
    def delivered(self) -> bool:
        """Whether the endpoint has the event. A redirect is followed by nobody: it has not."""
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def gone(self) -> bool:
        """Whether the endpoint wants to hear nothing any more."""
        return self.status_code == _GONE


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a delivery stands after a try."""

    status: DeliveryStatus
    failure: DeliveryFailure | None = None
    disabled: DisabledReason | None = None
    """Why this very try had its endpoint disabled, if it has."""


@dataclass(frozen=True, slots=True)
class TryLimits:
    """What the end of a try depends on. All in seconds."""

    retention: float
    """How long an ended delivery is kept."""
    disable_after: float
    """How long an endpoint may fail."""
