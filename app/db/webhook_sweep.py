"""The queries of the sweep and the purge about webhooks: each one batch, safe when two run at once.

What ended with its worker is taken back by `app.db.webhook_claims.take_back`.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    func,
    select,
    tuple_,
    update,
)

from app.db import purging
from app.db.jobs import from_now
from app.db.purging import Purged
from app.db.recording import DELIVERIES, ENDPOINTS
from app.db.webhook_claims import DUE, PENDING, READY, endpoints
from app.db.webhook_deliveries import deliveries
from app.db.webhook_models import WebhookSecret
from app.domain.webhooks import DeliveryFailure, DeliveryStatus

_KEY = (deliveries.endpoint_id, deliveries.event_id)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An endpoint with pending deliveries."""

    endpoint_id: UUID
    disabled: bool
    due: bool
    """Whether one of them may be tried now."""


def waiting(connection: Connection, *, after: UUID | None, limit: int) -> list[Waiting]:
    """The next `limit` endpoints after this one that have pending deliveries, in the order of their ids."""
    # From endpoint to endpoint through the index, past however many deliveries wait at each.
    found = select(_next_after(after).label("id")).cte("found", recursive=True)
    step = select(_next_after(found.c.id)).where(found.c.id.is_not(None))
    found = found.union_all(step)
    page = select(found.c.id).where(found.c.id.is_not(None)).limit(limit).cte("page")
    due = and_(READY, exists().where(deliveries.endpoint_id == endpoints.id, DUE))
    statement = (
        select(endpoints.id, endpoints.disabled_at.is_not(None), due)
        .join_from(page, ENDPOINTS, endpoints.id == page.c.id)
        .order_by(endpoints.id)
    )
    return [Waiting(*row) for row in connection.execute(statement)]


def _next_after(endpoint_id: UUID | ColumnElement[UUID] | None) -> ColumnElement[UUID]:
    beyond = [deliveries.endpoint_id > endpoint_id] if endpoint_id is not None else []
    first = select(deliveries.endpoint_id).where(PENDING, *beyond).order_by(deliveries.endpoint_id).limit(1)
    return first.scalar_subquery()


def give_up_disabled(connection: Connection, endpoint_id: UUID, *, limit: int, retention: float) -> int:
    """End pending deliveries of an endpoint, if it is disabled; return how many."""
    disabled = exists().where(endpoints.id == endpoint_id, endpoints.disabled_at.is_not(None))
    where = (deliveries.endpoint_id == endpoint_id, disabled)
    return _give_up(connection, DeliveryFailure.ENDPOINT_DISABLED, *where, limit=limit, retention=retention)


def give_up_old(connection: Connection, *, limit: int, retention: float) -> int:
    """End pending deliveries that have waited too long, whatever they waited for; return how many."""
    old = deliveries.give_up_at < func.now()
    return _give_up(connection, DeliveryFailure.TOO_OLD, old, limit=limit, retention=retention)


def _give_up(
    connection: Connection, failure: DeliveryFailure, *where: ColumnElement[bool], limit: int, retention: float
) -> int:
    # SKIP LOCKED: what another sweep or a claim holds right now is left to it.
    batch = select(*_KEY).where(PENDING, *where).limit(limit).with_for_update(skip_locked=True).cte("batch")
    statement = (
        update(DELIVERIES)
        .where(tuple_(*_KEY).in_(select(batch)), PENDING)
        .values(
            status=DeliveryStatus.FAILED.value,
            failure=failure.value,
            next_attempt_at=None,
            ended_at=func.now(),
            expires_at=from_now(retention),
        )
    )
    return connection.execute(statement).rowcount


def purge_deliveries(connection: Connection, *, limit: int, since: datetime | None = None) -> Purged:
    """Delete ended deliveries whose retention is over, with their tries, as `app.db.sweep.purge` deletes jobs."""
    batch = (
        select(*_KEY)
        .where(*purging.expired(deliveries.expires_at, since))
        .order_by(deliveries.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("batch")
    )
    gone = delete(DELIVERIES).where(tuple_(*_KEY).in_(select(batch)))
    return purging.delete(connection, gone, deliveries.expires_at)


def purge_endpoints(connection: Connection, *, limit: int, unused_for: float) -> int:
    """Delete endpoints that jobs came with, `unused_for` seconds ago or earlier, and that have no deliveries."""
    unused = and_(
        endpoints.source == "job",
        endpoints.used_at < from_now(-unused_for),
        ~exists().where(deliveries.endpoint_id == endpoints.id),
    )
    batch = select(endpoints.id).where(unused).limit(limit).with_for_update(skip_locked=True).cte("batch")
    return connection.execute(delete(ENDPOINTS).where(endpoints.id.in_(select(batch.c.id)))).rowcount


def purge_secrets(connection: Connection) -> int:
    """Delete rotated secrets that sign nothing any more."""
    return connection.execute(delete(WebhookSecret).where(WebhookSecret.expires_at <= func.now())).rowcount
