"""Deliveries of webhooks as the endpoint's owner sees them: listed, tested, and sent once more."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, func, insert, literal, select, update
from sqlalchemy.types import Interval

from app.db.recording import DELIVERIES, GIVE_UP_AFTER
from app.db.webhook_models import WebhookAttempt
from app.domain.ids import ENDPOINT, prefixed
from app.domain.webhooks import Attempt, Delivery, DeliveryFailure, DeliveryStatus, EventType

ATTEMPTS = cast("Table", WebhookAttempt.__table__)
deliveries = DELIVERIES.c
attempts = ATTEMPTS.c

_SHOWN = (
    deliveries.endpoint_id,
    deliveries.event_id,
    deliveries.type,
    deliveries.data_id,
    deliveries.status,
    deliveries.attempt,
    deliveries.created_at,
    deliveries.next_attempt_at,
    deliveries.ended_at,
    deliveries.failure,
)
_ENDED = (DeliveryStatus.DELIVERED.value, DeliveryStatus.FAILED.value)
_ANEW: dict[str, Any] = {
    "status": DeliveryStatus.PENDING.value,
    # `attempt` goes on: it is the fencing token, and the number of a row that is there already.
    "failures": 0,
    "next_attempt_at": func.now(),
    "give_up_at": func.now() + literal(GIVE_UP_AFTER, Interval),
    "ended_at": None,
    "expires_at": None,
    "failure": None,
}


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries a page shows."""

    limit: int
    after: UUID | None = None
    """The event of the last delivery that is known already: the page begins with the next older one."""
    status: DeliveryStatus | None = None


def page(connection: Connection, endpoint_id: UUID, wanted: DeliveryFilter) -> tuple[list[Delivery], bool]:
    """The endpoint's deliveries without their attempts, newest event first, and whether there are more."""
    where = [deliveries.endpoint_id == endpoint_id]
    if wanted.after:
        where.append(deliveries.event_id < wanted.after)
    if wanted.status:
        where.append(deliveries.status == wanted.status.value)
    statement = select(*_SHOWN).where(*where).order_by(deliveries.event_id.desc()).limit(wanted.limit + 1)
    found = [_delivery_of(row) for row in connection.execute(statement)]
    return found[: wanted.limit], len(found) > wanted.limit


def get(connection: Connection, endpoint_id: UUID, event_id: UUID) -> Delivery | None:
    """One delivery with its attempts, the first one first."""
    row = connection.execute(select(*_SHOWN).where(of(endpoint_id, event_id))).one_or_none()
    if row is None:
        return None
    made = (
        select(ATTEMPTS)
        .where(attempts.endpoint_id == endpoint_id, attempts.event_id == event_id)
        .order_by(attempts.attempt)
    )
    return _delivery_of(row, connection.execute(made))


def add_test(connection: Connection, endpoint_id: UUID, event_id: UUID) -> None:
    """A test event, due at once; what it is about is the endpoint itself."""
    connection.execute(
        insert(DELIVERIES).values(
            endpoint_id=endpoint_id,
            event_id=event_id,
            type=EventType.TEST.value,
            data_id=prefixed(ENDPOINT, endpoint_id),
            next_attempt_at=func.now(),
            give_up_at=func.now() + literal(GIVE_UP_AFTER, Interval),
        )
    )


def replay(connection: Connection, endpoint_id: UUID, event_id: UUID) -> bool:
    """Make a delivery that has ended due again, with all its tries; False if there is none."""
    statement = update(DELIVERIES).where(of(endpoint_id, event_id), deliveries.status.in_(_ENDED)).values(_ANEW)
    return connection.execute(statement).rowcount == 1


def replay_failed(connection: Connection, endpoint_id: UUID, *, since: datetime, limit: int) -> int:
    """Make up to `limit` dead letters due again that became so at `since` or later, the oldest events first.

    Return how many. Called until that is less than `limit`, it does all.
    """
    failed = deliveries.status == DeliveryStatus.FAILED.value
    batch = (
        select(deliveries.event_id)
        .where(deliveries.endpoint_id == endpoint_id, failed, deliveries.ended_at >= since)
        .order_by(deliveries.event_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        # A CTE: a plain subquery may run once for each row of the statement, each time for `limit` rows more.
        .cte("batch")
    )
    statement = (
        update(DELIVERIES)
        .where(deliveries.endpoint_id == endpoint_id, deliveries.event_id.in_(select(batch.c.event_id)), failed)
        .values(_ANEW)
    )
    return connection.execute(statement).rowcount


def of(endpoint_id: UUID | ColumnElement[UUID], event_id: UUID | ColumnElement[UUID]) -> ColumnElement[bool]:
    """The one delivery of this event to this endpoint."""
    return and_(deliveries.endpoint_id == endpoint_id, deliveries.event_id == event_id)


def _delivery_of(row: Row[*tuple[Any, ...]], made: Iterable[Row[*tuple[Any, ...]]] = ()) -> Delivery:
    found = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    typed = {
        "type": EventType(row.type),
        "status": DeliveryStatus(row.status),
        "failure": DeliveryFailure(row.failure) if row.failure else None,
    }
    return Delivery(**{**found, **typed, "attempts": tuple(_attempt_of(one) for one in made)})


def _attempt_of(row: Row[*tuple[Any, ...]]) -> Attempt:
    return Attempt(row.attempt, row.started_at, row.duration, row.status_code, row.error, row.reply)
