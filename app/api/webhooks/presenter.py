"""How endpoints, secrets and deliveries are shown."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.ids import ENDPOINT, EVENT, prefixed
from app.domain.requests import JSON
from app.domain.webhooks import Attempt, Delivery, Endpoint, SigningSecret


def present_endpoint(endpoint: Endpoint, secret: SigningSecret | None = None) -> JSON:
    """The endpoint; its secret is shown when it is made, and never again."""
    shown: JSON = {
        "id": prefixed(ENDPOINT, endpoint.id),
        "object": "webhook_endpoint",
        "source": endpoint.source,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "enabled": endpoint.disabled_at is None,
        "disabled_at": _unix(endpoint.disabled_at),
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": _unix(endpoint.failing_since),
        "created_at": _unix(endpoint.created_at),
    }
    return {**shown, "secret": secret.secret} if secret else shown


def present_deleted(endpoint_id: str) -> JSON:
    """What is left of an endpoint that was deleted."""
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}


def present_secret(secret: SigningSecret, endpoint_id: UUID | None = None) -> JSON:
    """A secret: of an endpoint, or of the webhooks of single responses."""
    return {
        "object": "webhook_secret",
        "endpoint_id": prefixed(ENDPOINT, endpoint_id) if endpoint_id else None,
        "secret": secret.secret,
        "created_at": _unix(secret.created_at),
        "previous_expires_at": _unix(secret.previous_expires_at),
    }


def present_delivery(delivery: Delivery, *, attempts: bool = True) -> JSON:
    """The delivery; in a list it is shown without its attempts."""
    shown: JSON = {
        "id": prefixed(EVENT, delivery.event_id),
        "object": "webhook_delivery",
        "endpoint_id": prefixed(ENDPOINT, delivery.endpoint_id),
        "type": delivery.type,
        "data": {"id": delivery.data_id},
        "status": delivery.status,
        "attempt": delivery.attempt,
        "created_at": _unix(delivery.created_at),
        "next_attempt_at": _unix(delivery.next_attempt_at),
        "ended_at": _unix(delivery.ended_at),
        "failure": delivery.failure,
    }
    return {**shown, "attempts": [_attempt(one) for one in delivery.attempts]} if attempts else shown


def present_page(data: list[JSON], *, has_more: bool) -> JSON:
    """A page of a list."""
    ends: dict[str, Any] = {"first_id": None, "last_id": None}
    if data:
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
    return {"object": "list", "data": data, **ends, "has_more": has_more}


def _attempt(attempt: Attempt) -> JSON:
    return {
        "number": attempt.number,
        "started_at": _unix(attempt.started_at),
        "duration_ms": round(attempt.duration * 1000),
        "status_code": attempt.status_code,
        "error": attempt.error,
        # A stranger's bytes.
        "reply": None if attempt.reply is None else attempt.reply.decode("utf-8", "replace"),
    }


def _unix(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at else None
