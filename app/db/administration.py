"""What an administrator sees and moves: the jobs of all keys, whoever owns them; their content only when asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, not_, or_, select, update

from app.db.jobs import DISPATCH_COLUMNS, REQUEST_COLUMNS, dispatch_of, from_now, jobs, move, request_of
from app.db.lookup import place_if_queued
from app.db.models import TABLE, ApiKey
from app.db.sealing import opened, sealer_of
from app.domain.jobs import Dispatch
from app.domain.lifecycle import Move, Status
from app.domain.requests import JSON, JobRequest


@dataclass(frozen=True, slots=True)
class JobRecord:
    """All of a job but its prompt and its result. `now` is the database's time when it was read."""

    id: UUID
    status: Status
    model: str
    queue: str
    api_key_id: UUID
    key_name: str
    metadata: dict[str, str]
    background: bool
    stream: bool
    store: bool
    attempt: int
    max_attempts: int
    soft_time_limit: float
    time_limit: float
    worker: str | None
    streamed: bool
    dispatches: int
    created_at: datetime
    queue_expires_at: datetime
    redispatch_at: datetime | None
    started_at: datetime | None
    lease_expires_at: datetime | None
    run_deadline_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    usage: JSON | None
    incomplete_reason: str | None
    error_code: str | None
    error_message: str | None
    now: datetime
    position: int | None = None
    """Its place in the queue; None once it left, and where nobody asked for it."""


@dataclass(frozen=True, slots=True)
class JobQuery:
    """What a list may be narrowed to. `before` is the id that an earlier page ended with."""

    limit: int
    status: Status | None = None
    model: str | None = None
    queue: str | None = None
    worker: str | None = None
    api_key_id: UUID | None = None
    before: UUID | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a job was asked, and what came of it."""

    request: JobRequest
    output: list[JSON] | None


_keys = ApiKey.__table__.c
_ELSEWHERE = {"key_name": _keys.name.label("key_name"), "now": func.now().label("now")}
_COLUMNS = [_ELSEWHERE[f.name] if f.name in _ELSEWHERE else jobs[f.name] for f in fields(JobRecord)[:-1]]


def page(connection: Connection, wanted: JobQuery) -> list[JobRecord]:
    """Up to `limit` jobs, the newest first."""
    names = ("status", "model", "queue", "worker", "api_key_id")
    given = {name: value for name in names if (value := getattr(wanted, name)) is not None}
    conditions: list[ColumnElement[bool]] = [jobs[name] == value for name, value in given.items()]
    if wanted.before:
        conditions.append(jobs.id < wanted.before)
    statement = select(*_COLUMNS).join_from(TABLE, ApiKey.__table__).where(*conditions)
    return [_record(row) for row in connection.execute(statement.order_by(jobs.id.desc()).limit(wanted.limit))]


def get(connection: Connection, job_id: UUID) -> JobRecord | None:
    """The job, with its place in the queue; one that has expired too, until the purge comes by."""
    statement = select(*_COLUMNS, place_if_queued()).join_from(TABLE, ApiKey.__table__).where(jobs.id == job_id)
    row = connection.execute(statement).one_or_none()
    return _record(row) if row else None


def content(connection: Connection, job_id: UUID) -> Content | None:
    """Prompt and result. Raises SealedError if they do not open here."""
    columns = {column.name: column for column in (*REQUEST_COLUMNS, jobs.output)}
    row = connection.execute(select(*columns.values()).where(jobs.id == job_id)).one_or_none()
    if row is None:
        return None
    sealer = sealer_of(connection)
    return Content(request_of(row, job_id, sealer), opened(sealer, job_id, "output", row.output))


def take_from_worker(connection: Connection, job_id: UUID, *, redispatch_after: float) -> Dispatch | None:
    """Queue a running job once more, and return what to publish; None if it does not run, has no attempt left, or has
    output that a reader may have seen.

    Its worker's writes come to nothing from here on: they ask for `in_progress`, and after the next claim for another
    attempt.
    """
    rows = move(
        connection,
        Move.REQUEUE,
        jobs.id == job_id,
        not_(or_(jobs.attempt >= jobs.max_attempts, jobs.streamed)),
        returning=DISPATCH_COLUMNS,
        worker=None,
        dispatches=0,
        redispatch_at=from_now(redispatch_after),
    )
    return next((dispatch_of(row) for row in rows), None)


def publish_again(connection: Connection, job_id: UUID, *, redispatch_after: float) -> Dispatch | None:
    """Put the sweep off for a queued job, and return its message; None if it is not queued."""
    statement = (
        update(TABLE)
        .where(jobs.id == job_id, jobs.status == Status.QUEUED.value)
        .values(dispatches=jobs.dispatches + 1, redispatch_at=from_now(redispatch_after))
        .returning(*DISPATCH_COLUMNS)
    )
    row = connection.execute(statement).one_or_none()
    return dispatch_of(row) if row else None


def _record(row: Sequence[Any]) -> JobRecord:
    stored = dict(zip((f.name for f in fields(JobRecord)), row, strict=False))
    return JobRecord(**{**stored, "status": Status(stored["status"])})
