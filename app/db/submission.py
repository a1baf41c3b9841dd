"""How jobs come in: the insert, and what a repeated idempotency key finds."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    UpdateBase,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from app.db.direct import Direct
from app.db.jobs import JOB_COLUMNS, from_now, job_of, jobs
from app.db.lookup import place, place_if_queued
from app.db.models import TABLE
from app.db.sealing import sealed, sealer_of
from app.domain.jobs import Dispatch, Idempotency, Job
from app.domain.lifecycle import ACTIVE, Status
from app.domain.requests import JobRequest
from app.domain.webhooks import JobLane

_GIVEN = (
    "id",
    "api_key_id",
    "model",
    "request",
    "inputs",
    "background",
    "stream",
    "store",
    "metadata",
    "soft_time_limit",
    "time_limit",
    "max_attempts",
    "idempotency_key",
    "request_digest",
    "queue",
    "webhook_endpoint_id",
    "webhook_url",
    "webhook_events",
)

# Literals, as in `app.db.sweep`: the plan must see that they fit the partial indexes.
_QUEUED = jobs.status == literal_column(f"'{Status.QUEUED}'")
_ACTIVE = jobs.status.in_([literal_column(f"'{status}'") for status in sorted(ACTIVE)])


def _adding() -> UpdateBase:
    """The INSERT of a queued job: all parameters `new_…` but for its times."""
    new = {name: bindparam(f"new_{name}", type_=jobs[name].type) for name in _GIVEN}
    statement = insert(TABLE).values(
        **new,
        status=Status.QUEUED.value,
        queue_expires_at=from_now(bindparam("queue_timeout", type_=Float)),
        redispatch_at=from_now(bindparam("redispatch_after", type_=Float)),
    )
    unless_taken = statement.on_conflict_do_nothing(
        index_elements=[jobs.api_key_id, jobs.idempotency_key], index_where=jobs.idempotency_key.is_not(None)
    )
    return unless_taken.returning(*JOB_COLUMNS, place(new["queue"], new["id"]).label("position"))


_ADD = Direct(_adding())


def add(
    connection: Connection,
    message: Dispatch,
    api_key_id: UUID,
    request: JobRequest,
    *,
    queue_timeout: float,
    redispatch_after: float,
    idempotency: Idempotency | None = None,
    webhook: JobLane | None = None,
) -> Job | None:
    """Insert a queued job, and find its place in the queue; None if its idempotency key is taken.

    Its first message, after the commit, is the caller's. While another transaction is inserting the same key this one
    waits for it.
    """
    sealer = sealer_of(connection)
    values = {
        **sealed(sealer, message.job_id, request=request.parameters(), inputs=request.items()),
        "id": message.job_id,
        "api_key_id": api_key_id,
        "model": request.model,
        "background": request.background,
        "stream": request.stream,
        "store": request.store,
        "metadata": request.metadata,
        "soft_time_limit": message.limits.soft_time_limit,
        "time_limit": message.limits.time_limit,
        "max_attempts": message.limits.max_attempts,
        "idempotency_key": idempotency.key if idempotency else None,
        "request_digest": idempotency.digest if idempotency else None,
        "queue": message.queue,
        "webhook_endpoint_id": webhook.endpoint_id if webhook else None,
        "webhook_url": webhook.url if webhook else None,
        "webhook_events": list(webhook.events) if webhook else None,
    }
    times = {"queue_timeout": queue_timeout, "redispatch_after": redispatch_after}
    row = _ADD.row(connection, {**times, **{f"new_{name}": value for name, value in values.items()}})
    return job_of(row, sealer, position=row[-1]) if row else None


_EXPIRED = func.coalesce(jobs.expires_at <= func.now(), False).label("expired")
_OWN_KEY = and_(jobs.api_key_id == bindparam("api_key_id"), jobs.idempotency_key == bindparam("idempotency_key"))
_REPEATED_COLUMNS: list[ColumnElement[Any]] = [*JOB_COLUMNS, jobs.request_digest, place_if_queued(), _EXPIRED]
_FIND_REPEATED = select(*_REPEATED_COLUMNS).where(_OWN_KEY)


def find_repeated(connection: Connection, api_key_id: UUID, idempotency: Idempotency) -> tuple[Job, bool] | None:
    """The job that the key was used for, and whether it was for the same request; None if the key is free.

    One whose retention is over frees its key here and now: the purge may be a minute late.
    """
    own = {"api_key_id": api_key_id, "idempotency_key": idempotency.key}
    row = connection.execute(_FIND_REPEATED, own).one_or_none()
    if row and row.expired:
        connection.execute(delete(TABLE).where(_OWN_KEY, jobs.id == row.id), own)
        return None
    if row is None:
        return None
    return job_of(row, sealer_of(connection), row.position), row.request_digest == idempotency.digest


def count_active(connection: Connection, api_key_id: UUID, limit: int) -> tuple[int, int]:
    """How many jobs of the key are under way, and how many of those are queued; counts up to `limit`."""
    own = _ACTIVE, jobs.api_key_id == api_key_id
    counted = select(jobs.status).where(*own).limit(limit).subquery()
    queued = func.count().filter(counted.c.status == Status.QUEUED.value)
    active, waiting = connection.execute(select(func.count(), queued).select_from(counted)).one()
    return active, waiting


def count_queued(connection: Connection, limit: int) -> int:
    """How many jobs of all keys are queued; counts up to `limit`."""
    counted = select(literal_column("1")).select_from(TABLE).where(_QUEUED).limit(limit).subquery()
    return connection.execute(select(func.count()).select_from(counted)).scalar_one()
