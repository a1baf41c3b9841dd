"""What moves jobs. All times come from the database's clock; all changes of status go through `move()`."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Float,
    Integer,
    Row,
    Select,
    UpdateBase,
    Uuid,
    and_,
    bindparam,
    func,
    or_,
    text,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import INTERVAL

from app.db.direct import Direct
from app.db.models import TABLE
from app.db.recording import recording
from app.db.sealing import opened, sealer_of
from app.domain.jobs import (
    Claim,
    Dispatch,
    Job,
    Limits,
)
from app.domain.lifecycle import Move, Status
from app.domain.ports import Sealer
from app.domain.requests import JobRequest

jobs = TABLE.c
_STORED_FIELDS = [field.name for field in fields(Job) if field.name != "position"]
JOB_COLUMNS = [jobs[name] for name in _STORED_FIELDS]
LIMIT_COLUMNS = (jobs.soft_time_limit, jobs.time_limit, jobs.max_attempts)

HARD_LIMIT_GRACE = 5.0
"""Seconds after its hard limit at which the sweep fails a job that its worker did not end by itself."""
MAX_REDISPATCH_INTERVAL = 600.0
"""Seconds between two publications of one queued job, at most."""


def from_now(seconds: float | ColumnElement[Any]) -> ColumnElement[datetime]:
    """The database's now plus so many seconds (negative: before now)."""
    if isinstance(seconds, int | float):
        return func.now() + sql_cast(timedelta(seconds=seconds), INTERVAL)
    return func.now() + seconds * text("interval '1 second'")


def job_of(row: Sequence[Any], sealer: Sealer, position: int | None = None) -> Job:
    """The job of a row whose first columns are JOB_COLUMNS."""
    stored = dict(zip(_STORED_FIELDS, row, strict=False))
    for name in ("request", "output"):
        stored[name] = opened(sealer, stored["id"], name, stored[name])
    return Job(**{**stored, "status": Status(stored["status"]), "position": position})


def limits_of(row: Any) -> Limits:
    """The limits of a row that was selected with LIMIT_COLUMNS."""
    return Limits(row.soft_time_limit, row.time_limit, row.max_attempts)


REQUEST_COLUMNS = (
    jobs.model,
    jobs.request,
    jobs.inputs,
    jobs.metadata,
    jobs.background,
    jobs.stream,
    jobs.store,
)


def request_of(row: Any, job_id: UUID, sealer: Sealer) -> JobRequest:
    """The request of the job, whose row was selected with REQUEST_COLUMNS."""
    columns = {name: getattr(row, name) for name in ("metadata", "background", "stream", "store")}
    parameters, items = (opened(sealer, job_id, name, getattr(row, name)) for name in ("request", "inputs"))
    return JobRequest.restore(row.model, parameters, items, **columns)


DISPATCH_COLUMNS = (jobs.id, jobs.queue, *LIMIT_COLUMNS)


def dispatch_of(row: Row[Any]) -> Dispatch:
    """The message for a row that was selected with DISPATCH_COLUMNS."""
    return Dispatch(row.id, row.queue, limits_of(row))


def move(
    connection: Connection,
    move_: Move,
    *where: ColumnElement[bool],
    returning: Sequence[ColumnElement[Any]] = (jobs.id,),
    **values: Any,
) -> Sequence[Row[Any]]:
    """Move the jobs that match `where` and are in a state the move may start from.

    No row back means that somebody else moved the job first, or that it is no longer the caller's.
    """
    return connection.execute(moving(move_, *where, returning=returning, **values)).all()


def moving(
    move_: Move,
    *where: ColumnElement[bool],
    returning: Sequence[ColumnElement[Any]] = (jobs.id,),
    **values: Any,
) -> UpdateBase | Select[Any]:
    """The one guarded UPDATE that a move is. What the target state demands of the row (lease, ended_at, …) is set
    here, so that no caller can forget it; if it is an end, so are its webhook events (`app.db.recording`).
    """
    demanded: dict[str, Any] = {"status": move_.target.value, **_STATE_COLUMNS[move_.target], **values}
    statement = (
        update(TABLE).where(or_(*(jobs.status == source.value for source in move_.sources)), *where).values(demanded)
    )
    return recording(statement, returning) if move_.target.terminal else statement.returning(*returning)


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


# Built once: building takes as long as running it. A parameter must not be named like a column that is set.
_CLAIMED = (jobs.attempt, *REQUEST_COLUMNS, *LIMIT_COLUMNS)
_CLAIM = Direct(
    moving(
        Move.CLAIM,
        jobs.id == bindparam("job_id"),
        jobs.attempt < jobs.max_attempts,
        returning=_CLAIMED,
        attempt=jobs.attempt + 1,
        worker=bindparam("by"),
        started_at=func.coalesce(jobs.started_at, func.now()),
        lease_expires_at=from_now(bindparam("lease", type_=Float)),
        run_deadline_at=from_now(jobs.time_limit + HARD_LIMIT_GRACE),
    )
)


def claim(connection: Connection, job_id: UUID, *, worker: str, lease: float) -> Claim | None:
    """Take a queued job for `lease` seconds; None if it is not there to take (any more).

    Raises SealedError; rolled back, the job waits for a worker that has its key, and no attempt is counted.
    """
    row = _CLAIM.row(connection, {"job_id": job_id, "by": worker, "lease": lease})
    if row is None:
        return None
    claimed = SimpleNamespace(**{column.name: value for column, value in zip(_CLAIMED, row, strict=True)})
    request = request_of(claimed, job_id, sealer_of(connection))
    return Claim(job_id, claimed.attempt, request, limits_of(claimed))


def start_attempt(connection: Connection, held: Claim) -> int | None:
    """Count one more try by the worker that holds the job; None if it no longer does, or none is left."""
    statement = (
        update(TABLE)
        .where(held_by(held), jobs.status == Status.IN_PROGRESS.value, jobs.attempt < jobs.max_attempts)
        .values(attempt=jobs.attempt + 1)
        .returning(jobs.attempt)
    )
    return connection.execute(statement).scalar_one_or_none()


def start_streaming(connection: Connection, held: Claim) -> bool:
    """Note that output is about to reach readers; False if the job is no longer this worker's."""
    statement = update(TABLE).where(held_by(held), jobs.status == Status.IN_PROGRESS.value).values(streamed=True)
    return connection.execute(statement).rowcount == 1


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
        update(TABLE)
        .where(jobs.id == held.c.id, jobs.attempt == held.c.attempt, jobs.status == Status.IN_PROGRESS.value)
        .values(lease_expires_at=from_now(lease))
        .returning(jobs.id)
    )
    return set(connection.execute(statement).scalars())


def owned(job_id: UUID, api_key_id: UUID) -> ColumnElement[bool]:
    """The job, if it is the key's."""
    return and_(jobs.id == job_id, jobs.api_key_id == api_key_id)
