"""Deliveries of webhooks put straight into the table, and what stands there afterwards."""

from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Row, Table, insert, select, update

from app.db.recording import DELIVERIES, ENDPOINTS
from app.db.webhook_deliveries import ATTEMPTS
from app.db.webhook_models import WebhookSecret
from app.domain.ids import new_id, public_id
from app.domain.webhooks import DeliveryStatus, EventType, new_secret
from tests import rows

SECRETS = cast("Table", WebhookSecret.__table__)
URL = "https://example.com/hook"
_ENDED: dict[str, Any] = {"attempt": 1, "ended_at": rows.NOW, "expires_at": rows.LATER}
OF_STATUS: dict[DeliveryStatus, dict[str, Any]] = {
    DeliveryStatus.PENDING: {"next_attempt_at": rows.NOW},
    DeliveryStatus.IN_PROGRESS: {"attempt": 1, "lease_expires_at": rows.LATER},
    DeliveryStatus.DELIVERED: _ENDED,
    DeliveryStatus.FAILED: {**_ENDED, "failure": "attempts_exhausted"},
}


def add_endpoint(connection: Connection, owner: UUID, url: str = URL, *, secret: str = "", **columns: Any) -> UUID:
    """A webhook endpoint with its secret; one of `source="job"` has its key's, which is added unless it is there."""
    endpoint_id = rows.add_endpoint(connection, owner, url, **columns)
    of = None if columns.get("source") == "job" else endpoint_id
    add_secret(connection, owner, of, secret or new_secret())
    return endpoint_id


def add_secret(connection: Connection, owner: UUID, endpoint_id: UUID | None, secret: str, **columns: Any) -> UUID:
    """A secret of an endpoint, or of a key's single jobs."""
    secret_id = new_id()
    values = {"id": secret_id, "api_key_id": owner, "endpoint_id": endpoint_id, "secret": secret, **columns}
    connection.execute(insert(SECRETS).values(values))
    return secret_id


def put(
    connection: Connection, endpoint_id: UUID, status: DeliveryStatus = DeliveryStatus.PENDING, /, **columns: Any
) -> UUID:
    """Insert one delivery in a state, with everything that the state demands; return its event."""
    event_id: UUID = columns.pop("event_id", None) or new_id()
    common = {"type": EventType.COMPLETED.value, "data_id": public_id(event_id), "give_up_at": rows.LATER}
    values = {"endpoint_id": endpoint_id, "event_id": event_id, "status": status.value, **common, **OF_STATUS[status]}
    connection.execute(insert(DELIVERIES).values({**values, **columns}))
    return event_id


def change(connection: Connection, endpoint_id: UUID, event_id: UUID, **columns: Any) -> None:
    """Set columns of one delivery behind the product's back: mostly to move times."""
    where = (DELIVERIES.c.endpoint_id == endpoint_id, DELIVERIES.c.event_id == event_id)
    connection.execute(update(DELIVERIES).where(*where).values(columns))


def change_endpoint(connection: Connection, endpoint_id: UUID, **columns: Any) -> None:
    """The same with an endpoint."""
    connection.execute(update(ENDPOINTS).where(ENDPOINTS.c.id == endpoint_id).values(columns))


def row(connection: Connection, endpoint_id: UUID, event_id: UUID) -> Row[Any]:
    """The delivery as it stands."""
    where = (DELIVERIES.c.endpoint_id == endpoint_id, DELIVERIES.c.event_id == event_id)
    return connection.execute(select(DELIVERIES).where(*where)).one()


def endpoint(connection: Connection, endpoint_id: UUID) -> Row[Any]:
    """The endpoint as it stands."""
    return connection.execute(select(ENDPOINTS).where(ENDPOINTS.c.id == endpoint_id)).one()


def tries(connection: Connection, endpoint_id: UUID, event_id: UUID) -> list[Row[Any]]:
    """The delivery's tries, the first one first."""
    where = (ATTEMPTS.c.endpoint_id == endpoint_id, ATTEMPTS.c.event_id == event_id)
    return list(connection.execute(select(ATTEMPTS).where(*where).order_by(ATTEMPTS.c.attempt)))


def events(connection: Connection, endpoint_id: UUID) -> set[tuple[UUID, str]]:
    """Which events the endpoint is told, and of what type."""
    columns = (DELIVERIES.c.event_id, DELIVERIES.c.type)
    found = connection.execute(select(*columns).where(DELIVERIES.c.endpoint_id == endpoint_id))
    return {(row.event_id, row.type) for row in found}
