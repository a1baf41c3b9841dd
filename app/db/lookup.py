"""What clients read of jobs: one, a page of them, their inputs, their places in the queue, their streams' logs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, func, literal_column, or_, select

from app.db.direct import Direct
from app.db.jobs import JOB_COLUMNS, REQUEST_COLUMNS, job_of, jobs, request_of
from app.db.models import TABLE
from app.db.sealing import opened, sealer_of
from app.domain.jobs import Job, JobFilter
from app.domain.lifecycle import Status
from app.domain.requests import JobRequest

MAX_POSITION = 1000
"""Places in a queue that are counted; a job further behind has this one."""


def place(queue: ColumnElement[Any], job_id: ColumnElement[Any]) -> ColumnElement[int]:
    """The place of a queued job in its queue, 1 being next; MAX_POSITION if it is that or further behind."""
    others = TABLE.alias("others")
    # A literal: a prepared statement's generic plan can't tell that a parameter fits the partial index.
    queued = others.c.status == literal_column(f"'{Status.QUEUED}'")
    before = select(others.c.id).where(queued, others.c.queue == queue, others.c.id < job_id)
    # In order: another index may look as good, and has the jobs of all queues in it.
    counted = before.order_by(others.c.id).limit(MAX_POSITION - 1).correlate(TABLE).subquery()
    return select(func.count() + 1).select_from(counted).scalar_subquery()


def place_if_queued() -> ColumnElement[int | None]:
    """The `position` of the selected job; nothing is counted for one that has left the queue."""
    return case((jobs.status == Status.QUEUED.value, place(jobs.queue, jobs.id))).label("position")


def _visible(api_key_id: UUID | ColumnElement[UUID], *columns: ColumnElement[Any]) -> Select[Any]:
    # Expired rows are invisible at once: the purge may be a minute late.
    kept = or_(jobs.expires_at.is_(None), jobs.expires_at > func.now())
    return select(*columns).where(jobs.api_key_id == api_key_id, kept)


# Built once: building takes as long as running it, and this is what a poll is.
_GET = Direct(_visible(bindparam("api_key_id"), *JOB_COLUMNS, place_if_queued()).where(jobs.id == bindparam("job_id")))


def get(connection: Connection, job_id: UUID, api_key_id: UUID) -> Job | None:
    """The key's job, with its place in the queue; None for an unknown id, another key's, and one whose retention is
    over.
    """
    row = _GET.row(connection, {"job_id": job_id, "api_key_id": api_key_id})
    return job_of(row, sealer_of(connection), position=row[-1]) if row else None


def get_request(connection: Connection, job_id: UUID, api_key_id: UUID) -> tuple[Job, JobRequest] | None:
    """The same with all it was asked, the whole conversation included."""
    columns = {column.name: column for column in (*JOB_COLUMNS, *REQUEST_COLUMNS)}
    row = connection.execute(_visible(api_key_id, *columns.values()).where(jobs.id == job_id)).one_or_none()
    if row is None:
        return None
    sealer = sealer_of(connection)
    return job_of(row, sealer), request_of(row, job_id, sealer)


def get_events(connection: Connection, job_id: UUID) -> bytes | None:
    """The packed log of a job that has ended; None if there is none."""
    packed = connection.execute(select(jobs.events).where(jobs.id == job_id)).scalar_one_or_none()
    events: bytes | None = opened(sealer_of(connection), job_id, "events", packed)
    return events


def statuses(connection: Connection, job_ids: Sequence[UUID]) -> dict[UUID, Status]:
    """What has become of these jobs; those that are gone are left out."""
    rows = connection.execute(select(jobs.id, jobs.status).where(jobs.id == func.any(list(job_ids))))
    return {row.id: Status(row.status) for row in rows}


def page(connection: Connection, api_key_id: UUID, wanted: JobFilter) -> tuple[list[Job], bool]:
    """Up to `limit` jobs of the key, and whether there are more that way."""
    conditions = [
        jobs.status == wanted.status.value if wanted.status else None,
        jobs.incomplete_reason.is_not(None) if wanted.cut_off else None,
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
    statement = _visible(api_key_id, *JOB_COLUMNS).where(*(c for c in conditions if c is not None)).order_by(order)
    # One more than asked for tells that there are more.
    sealer = sealer_of(connection)
    found = [job_of(row, sealer) for row in connection.execute(statement.limit(wanted.limit + 1))]
    chosen = found[: wanted.limit]
    return chosen[::-1] if upwards else chosen, len(found) > wanted.limit
