"""Every query on jobs. All times come from the database's clock; all changes of status go through `move()`."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    Uuid,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import INTERVAL

from app.db.models import Job as JobTable
from app.domain.jobs import (
    WORKER_LOST,
    Claim,
    Completed,
    Dispatch,
    Failed,
    Job,
    JobFilter,
    JobRequest,
    Limits,
    Outcome,
)
from app.domain.lifecycle import Move, Status

jobs = JobTable.__table__.c
_JOB_COLUMNS = [jobs[field.name] for field in fields(Job)]
LIMIT_COLUMNS = (jobs.soft_time_limit, jobs.time_limit, jobs.max_attempts)

HARD_LIMIT_GRACE = 5.0
"""Seconds after its hard limit at which the sweep fails a job that its worker did not end by itself."""
MAX_REDISPATCH_INTERVAL = 600.0
"""Seconds between two publications of one queued job, at most."""


def from_now(seconds: float | ColumnElement[Any]) -> ColumnElement[datetime]:
    """The database's now plus so many seconds (negative: before now)."""
    if isinstance(seconds, int | float):
        return func.now() + cast(timedelta(seconds=seconds), INTERVAL)
    return func.now() + seconds * text("interval '1 second'")


def _job(row: Row[Any]) -> Job:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return Job(**{**values, "status": Status(values["status"])})


def _limits(row: Row[Any]) -> Limits:
    return Limits(row.soft_time_limit, row.time_limit, row.max_attempts)


DISPATCH_COLUMNS = (jobs.id, jobs.queue, *LIMIT_COLUMNS)


def dispatch_of(row: Row[Any]) -> Dispatch:
    """The message for a row that was selected with DISPATCH_COLUMNS."""
    return Dispatch(row.id, row.queue, _limits(row))


def move(
    connection: Connection,
    move_: Move,
    *where: ColumnElement[bool],
    returning: Sequence[ColumnElement[Any]] = (jobs.id,),
    **values: Any,
) -> Sequence[Row[Any]]:
    """Move the jobs that match `where` and are in a state the move may start from: one guarded UPDATE.

    No row back means that somebody else moved the job first, or that it is no longer the caller's. What the
    target state demands of the row (lease, ended_at, …) is set here, so that no caller can forget it.
    """
    demanded: dict[str, Any] = {"status": move_.target.value, **_STATE_COLUMNS[move_.target], **values}
    statement = update(JobTable).where(jobs.status.in_([source.value for source in move_.sources]), *where)
    return connection.execute(statement.values(demanded).returning(*returning)).all()


_NOT_QUEUED: dict[str, Any] = {"redispatch_at": None}
_NOT_RUNNING: dict[str, Any] = {"lease_expires_at": None, "run_deadline_at": None}
_ENDED: dict[str, Any] = {**_NOT_QUEUED, **_NOT_RUNNING, "ended_at": func.now()}
_STATE_COLUMNS: dict[Status, dict[str, Any]] = {
    Status.QUEUED: _NOT_RUNNING,
    Status.IN_PROGRESS: _NOT_QUEUED,
    Status.COMPLETED: _ENDED,
    Status.FAILED: _ENDED,
    Status.CANCELLED: _ENDED,
}


def add(
    connection: Connection,
    job_id: UUID,
    api_key_id: UUID,
    request: JobRequest,
    limits: Limits,
    *,
    queue: str,
    queue_timeout: float,
    redispatch_after: float,
) -> Job:
    """Insert a queued job. Its first message is the caller's to publish, after the commit."""
    statement = insert(JobTable).values(
        id=job_id,
        api_key_id=api_key_id,
        status=Status.QUEUED.value,
        model=request.model,
        request=request.to_json(),
        metadata_=request.metadata,
        soft_time_limit=limits.soft_time_limit,
        time_limit=limits.time_limit,
        max_attempts=limits.max_attempts,
        queue=queue,
        queue_expires_at=from_now(queue_timeout),
        redispatch_at=from_now(redispatch_after),
    )
    return _job(connection.execute(statement.returning(*_JOB_COLUMNS)).one())


def get(connection: Connection, job_id: UUID, api_key_id: UUID) -> Job | None:
    """The key's job; None for an unknown id, another key's, and one whose retention is over."""
    row = connection.execute(_visible(api_key_id).where(jobs.id == job_id)).one_or_none()
    return _job(row) if row else None


def _visible(api_key_id: UUID) -> Select[Any]:
    # Expired rows are invisible at once: the purge may be a minute late.
    kept = or_(jobs.expires_at.is_(None), jobs.expires_at > func.now())
    return select(*_JOB_COLUMNS).where(jobs.api_key_id == api_key_id, kept)


def page(connection: Connection, api_key_id: UUID, wanted: JobFilter) -> tuple[list[Job], bool]:
    """Up to `limit` jobs of the key, and whether there are more that way."""
    conditions = [
        jobs.status == wanted.status.value if wanted.status else None,
        jobs.model == wanted.model if wanted.model else None,
        jobs.metadata.contains(wanted.metadata) if wanted.metadata else None,
        jobs.created_at >= wanted.created_after if wanted.created_after else None,
        jobs.created_at <= wanted.created_before if wanted.created_before else None,
    ]
    # Cursors speak of the list's own order: `after` is further down, whichever way it runs.
    descending = wanted.order == "desc"
    if wanted.after:
        conditions.append(jobs.id < wanted.after if descending else jobs.id > wanted.after)
    if wanted.before:
        conditions.append(jobs.id > wanted.before if descending else jobs.id < wanted.before)
    # The page before a cursor is the one that ends there: it is read upwards from it, then turned round.
    upwards = wanted.before is not None and wanted.after is None
    order = jobs.id.desc() if descending is not upwards else jobs.id.asc()
    statement = _visible(api_key_id).where(*(c for c in conditions if c is not None)).order_by(order)
    # One more than asked for tells that there are more.
    found = [_job(row) for row in connection.execute(statement.limit(wanted.limit + 1))]
    chosen = found[: wanted.limit]
    return chosen[::-1] if upwards else chosen, len(found) > wanted.limit


def claim(connection: Connection, job_id: UUID, *, worker: str, lease: float) -> Claim | None:
    """Take a queued job for `lease` seconds; None if it is not there to take (any more)."""
    rows = move(
        connection,
        Move.CLAIM,
        jobs.id == job_id,
        jobs.attempt < jobs.max_attempts,
        returning=(jobs.attempt, jobs.request, *LIMIT_COLUMNS),
        attempt=jobs.attempt + 1,
        worker=worker,
        started_at=func.coalesce(jobs.started_at, func.now()),
        lease_expires_at=from_now(lease),
        run_deadline_at=from_now(jobs.time_limit + HARD_LIMIT_GRACE),
    )
    return next((Claim(job_id, r.attempt, JobRequest.from_json(r.request), _limits(r)) for r in rows), None)


def start_attempt(connection: Connection, held: Claim) -> int | None:
    """Count one more try by the worker that holds the job; None if it no longer does, or none is left."""
    statement = (
        update(JobTable)
        .where(held_by(held), jobs.status == Status.IN_PROGRESS.value, jobs.attempt < jobs.max_attempts)
        .values(attempt=jobs.attempt + 1)
        .returning(jobs.attempt)
    )
    return connection.execute(statement).scalar_one_or_none()


def held_by(held: Claim) -> ColumnElement[bool]:
    """The job, if the claim's fencing token is still the row's."""
    return and_(jobs.id == held.job_id, jobs.attempt == held.attempt)


def extend_leases(connection: Connection, fences: Sequence[tuple[UUID, int]], *, lease: float) -> set[UUID]:
    """Extend the leases of all jobs of one worker in one statement; return those that are still its own."""
    held = (
        func.unnest(
            bindparam("ids", [job_id for job_id, _ in fences], ARRAY(Uuid())),
            bindparam("attempts", [attempt for _, attempt in fences], ARRAY(Integer())),
        )
        .table_valued("id", "attempt")
        .render_derived("held")
    )
    statement = (
        update(JobTable)
        .where(jobs.id == held.c.id, jobs.attempt == held.c.attempt, jobs.status == Status.IN_PROGRESS.value)
        .values(lease_expires_at=from_now(lease))
        .returning(jobs.id)
    )
    return set(connection.execute(statement).scalars())


def settle(connection: Connection, held: Claim, outcome: Outcome, *, retention: float) -> bool:
    """Record how the try ended; False if the job is no longer this worker's, and then nothing changed."""
    if isinstance(outcome, Failed):
        return bool(fail(connection, Move.FAIL, held_by(held), outcome=outcome, retention=retention))
    values = _completed_values(outcome, retention)
    return bool(move(connection, Move.COMPLETE, held_by(held), **values))


def _completed_values(outcome: Completed, retention: float) -> dict[str, Any]:
    return {
        "output": outcome.output,
        "usage": outcome.usage.to_json() if outcome.usage else None,
        "incomplete_reason": outcome.incomplete_reason,
        "expires_at": from_now(retention),
    }


def fail(
    connection: Connection, move_: Move, *where: ColumnElement[bool], outcome: Failed, retention: float
) -> list[UUID]:
    """Move the jobs that match to `failed`, whether they were queued or running; return their ids."""
    rows = move(
        connection,
        move_,
        *where,
        error_code=outcome.failure.value,
        error_message=outcome.message,
        expires_at=from_now(retention),
    )
    return [row.id for row in rows]


def take_back(
    connection: Connection, *where: ColumnElement[bool], retention: float, redispatch_after: float
) -> list[Dispatch]:
    """Queue the running jobs that match once more, and return what to publish for them.

    Those with no attempt left fail with `worker_lost`.
    """
    fail(
        connection,
        Move.FAIL,
        jobs.attempt >= jobs.max_attempts,
        *where,
        outcome=WORKER_LOST,
        retention=retention,
    )
    rows = move(
        connection,
        Move.REQUEUE,
        *where,
        returning=DISPATCH_COLUMNS,
        worker=None,
        dispatches=0,
        redispatch_at=from_now(redispatch_after),
    )
    return [dispatch_of(row) for row in rows]


def owned(job_id: UUID, api_key_id: UUID) -> ColumnElement[bool]:
    """The job, if it is the key's."""
    return and_(jobs.id == job_id, jobs.api_key_id == api_key_id)


def cancel(connection: Connection, *where: ColumnElement[bool], retention: float) -> Job | None:
    """Cancel one queued or running job; None if it is not there to cancel."""
    rows = move(connection, Move.CANCEL, *where, returning=_JOB_COLUMNS, expires_at=from_now(retention))
    return next((_job(row) for row in rows), None)


def delete_ended(connection: Connection, job_id: UUID, api_key_id: UUID) -> bool:
    """Delete the key's job if it has ended."""
    statement = delete(JobTable).where(owned(job_id, api_key_id), jobs.ended_at.is_not(None))
    return connection.execute(statement).rowcount == 1
