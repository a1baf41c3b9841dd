"""Who sends a webhook: one worker at a time claims a delivery, or hands it back.

Who locks both an endpoint and its deliveries locks the endpoint first. FOR NO KEY UPDATE: whoever ends a job refers to
the endpoint's key, and never waits for a claim.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    Connection,
    Float,
    Integer,
    Row,
    Uuid,
    and_,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.sql.dml import ReturningInsert

from app.db.jobs import from_now
from app.db.recording import DELIVERIES, ENDPOINTS
from app.db.sealing import sealer_of
from app.db.webhook_deliveries import ATTEMPTS, deliveries
from app.db.webhook_models import WebhookSecret
from app.db.webhook_secrets import open_
from app.domain.encryption import SealedError
from app.domain.webhook_tries import WORKER_LOST, WORKER_STOPPED, SecretError
from app.domain.webhooks import DeliveryClaim, DeliveryStatus, EventType

CIRCUIT_FAILURES = 5
"""Failures in a row that open an endpoint's circuit. From then on one delivery at a time is tried, until a success."""
WEBHOOK_LEASE = 60.0
"""Seconds after which a try has ended with its worker: more than a try and its end can take."""

endpoints = ENDPOINTS.c
# Literals: a prepared statement's generic plan can't tell that a parameter fits the predicate of a partial index.
PENDING = deliveries.status == literal_column(f"'{DeliveryStatus.PENDING}'")
IN_PROGRESS = deliveries.status == literal_column(f"'{DeliveryStatus.IN_PROGRESS}'")
DUE = and_(PENDING, deliveries.next_attempt_at <= func.now())
OPEN = and_(endpoints.open_until.is_not(None), endpoints.open_until > func.now())
READY = and_(endpoints.disabled_at.is_(None), ~OPEN)
"""An endpoint that may be tried."""

TO = bindparam("to", type_=Uuid())
_EVENT = bindparam("event", type_=Uuid())
_AT_WORK = bindparam("at_work", type_=Integer())
# A parameter must not be named like a column that is set.
HELD = and_(
    deliveries.endpoint_id == TO,
    deliveries.event_id == _EVENT,
    deliveries.attempt == bindparam("held_attempt", type_=Integer()),
    IN_PROGRESS,
)


def held_by(claim_: DeliveryClaim) -> dict[str, Any]:
    """The parameters of HELD."""
    return {"to": claim_.endpoint_id, "event": claim_.event_id, "held_attempt": claim_.attempt}


@dataclass(frozen=True, slots=True)
class Claimed:
    """One try to make, and whether there is another that somebody else could make meanwhile."""

    claim: DeliveryClaim
    more: bool


# All statements are built once: building takes as long as running them.
_LOCK = (
    select(ENDPOINTS)
    .where(endpoints.id == TO, READY, exists().where(deliveries.endpoint_id == TO, DUE))
    .with_for_update(key_share=True)
)
_good = or_(WebhookSecret.expires_at.is_(None), WebhookSecret.expires_at > func.now())
_secrets = (
    select(WebhookSecret.id, WebhookSecret.secret).where(_good).order_by(WebhookSecret.expires_at.desc().nulls_first())
)
_SECRETS_OF_ENDPOINT = _secrets.where(WebhookSecret.endpoint_id == TO)
_SECRETS_OF_KEY = _secrets.where(
    WebhookSecret.api_key_id == bindparam("key", type_=Uuid()), WebhookSecret.endpoint_id.is_(None)
)

_next = (
    select(deliveries.event_id, deliveries.next_attempt_at)
    .where(deliveries.endpoint_id == TO, DUE)
    .order_by(deliveries.next_attempt_at)
    .limit(2)
    .with_for_update(skip_locked=True)
    .cte("next")
)
_busy = select(func.count()).where(deliveries.endpoint_id == TO, IN_PROGRESS).scalar_subquery()
_taken = (
    update(DELIVERIES)
    .where(
        deliveries.endpoint_id == TO,
        deliveries.event_id == select(_next.c.event_id).order_by(_next.c.next_attempt_at).limit(1).scalar_subquery(),
        _busy < _AT_WORK,
    )
    .values(
        status=DeliveryStatus.IN_PROGRESS.value,
        attempt=deliveries.attempt + 1,
        next_attempt_at=None,
        lease_expires_at=from_now(WEBHOOK_LEASE),
    )
    .returning(DELIVERIES)
    .cte("taken")
)
_many = select(func.count() > 1).select_from(_next).scalar_subquery()
_CLAIM = select(_taken, and_(_many, _busy + 1 < _AT_WORK).label("more"))


def claim(connection: Connection, endpoint_id: UUID, *, concurrency: int) -> Claimed | None:
    """Take the endpoint's longest due delivery; None if there is none, or the endpoint gets no more at this moment.

    At most `concurrency` are under way at once. Raises SecretError; rolled back, nothing is claimed.
    """
    # Alone: what the next statement counts, it counts after the claims of others that this one has waited for.
    endpoint = connection.execute(_LOCK, {"to": endpoint_id}).one_or_none()
    if endpoint is None:
        return None
    secrets = _secrets_of(connection, endpoint)
    at_work = 1 if endpoint.consecutive_failures >= CIRCUIT_FAILURES else concurrency
    row = connection.execute(_CLAIM, {"to": endpoint_id, "at_work": at_work}).one_or_none()
    if row is None:
        return None
    claim_ = DeliveryClaim(
        endpoint_id=endpoint_id,
        event_id=row.event_id,
        attempt=row.attempt,
        failures=row.failures,
        type=EventType(row.type),
        data_id=row.data_id,
        created_at=row.created_at,
        url=row.url or endpoint.url,
        secrets=secrets,
        traceparent=row.traceparent,
    )
    return Claimed(claim_, row.more)


def _secrets_of(connection: Connection, endpoint: Row[Any]) -> tuple[str, ...]:
    if endpoint.source == "job":
        rows = connection.execute(_SECRETS_OF_KEY, {"key": endpoint.api_key_id}).all()
    else:
        rows = connection.execute(_SECRETS_OF_ENDPOINT, {"to": endpoint.id}).all()
    if not rows:
        raise SecretError
    try:
        return tuple(open_(sealer_of(connection), row.id, row.secret) for row in rows)
    except SealedError as error:
        raise SecretError from error


def hand_back(connection: Connection, held: DeliveryClaim) -> bool:
    """Make a delivery due again whose worker does not end its try; False if it is no longer that worker's."""
    mine = select(*_TRY).where(HELD).with_for_update().cte("lost")
    return bool(connection.execute(_taking_back(mine, WORKER_STOPPED), held_by(held)).all())


def take_back(connection: Connection, *, limit: int) -> int:
    """The same with deliveries whose lease ran out; return how many."""
    lost = (
        select(*_TRY)
        .where(IN_PROGRESS, deliveries.lease_expires_at < func.now())
        .order_by(deliveries.endpoint_id)
        .limit(limit)
        # SKIP LOCKED: what another sweep or a settle holds right now is left to it.
        .with_for_update(skip_locked=True)
        .cte("lost")
    )
    return len(connection.execute(_taking_back(lost, WORKER_LOST)).all())


_TRY = (deliveries.endpoint_id, deliveries.event_id, deliveries.attempt, deliveries.lease_expires_at)


def _taking_back(lost: CTE, error: str) -> ReturningInsert[Any]:
    """No failure is counted: the endpoint can't help it."""
    due = (
        update(DELIVERIES)
        .where(deliveries.endpoint_id == lost.c.endpoint_id, deliveries.event_id == lost.c.event_id, IN_PROGRESS)
        .values(status=DeliveryStatus.PENDING.value, next_attempt_at=func.now(), lease_expires_at=None)
        .cte("due")
    )
    started_at = lost.c.lease_expires_at - cast(timedelta(seconds=WEBHOOK_LEASE), INTERVAL)
    tries = select(
        lost.c.endpoint_id,
        lost.c.event_id,
        lost.c.attempt,
        started_at,
        func.extract("epoch", func.now() - started_at).cast(Float),
        literal(error),
    )
    columns = ["endpoint_id", "event_id", "attempt", "started_at", "duration", "error"]
    return insert(ATTEMPTS).from_select(columns, tries).add_cte(due).returning(ATTEMPTS.c.attempt)


def hold_off(connection: Connection, endpoint_id: UUID, *, seconds: float) -> None:
    """Try nothing at the endpoint for so long, without holding that against it."""
    until = func.greatest(endpoints.open_until, from_now(seconds))
    connection.execute(update(ENDPOINTS).where(endpoints.id == endpoint_id).values(open_until=until))
