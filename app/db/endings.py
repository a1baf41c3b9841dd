"""How jobs end: settled by their worker, failed, cancelled, given back at the end of a lease; and deleted."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Float, bindparam, case, delete, func, not_, or_, select, update
from sqlalchemy import cast as sql_cast

from app.db.direct import Direct
from app.db.jobs import DISPATCH_COLUMNS, JOB_COLUMNS, dispatch_of, from_now, held_by, job_of, jobs, move, moving, owned
from app.db.models import TABLE
from app.db.sealing import sealed, sealer_of
from app.domain.jobs import WORKER_LOST, Claim, Dispatch, Ended, Failed, Job, Outcome
from app.domain.lifecycle import Move

UNSTORED_RETENTION = 600.0
"""Seconds that the result of a job with `store: false` is kept: OpenAI's own polling window."""


def retained(retention: float | ColumnElement[float]) -> ColumnElement[datetime]:
    """When the data of a job that ends now expires; `retention` in seconds."""
    stored = sql_cast(retention, Float)
    unstored = func.least(stored, UNSTORED_RETENTION, type_=Float)
    return from_now(case((jobs.store, stored), else_=unstored))


def _ended(rows: Iterable[Sequence[Any]]) -> Ended:
    """Of rows whose first column is the job's id, and whose last are its `endpoint_ids`."""
    found = list(rows)
    told = {endpoint_id for row in found for endpoint_id in row[-1]}
    return Ended([row[0] for row in found], sorted(told))


_COMPLETE = Direct(
    moving(
        Move.COMPLETE,
        jobs.id == bindparam("job_id"),
        jobs.attempt == bindparam("held_attempt"),
        expires_at=retained(bindparam("retention", type_=Float)),
        output=bindparam("new_output", type_=jobs.output.type),
        events=bindparam("new_events", type_=jobs.events.type),
        usage=bindparam("new_usage", type_=jobs.usage.type),
        incomplete_reason=bindparam("new_incomplete_reason", type_=jobs.incomplete_reason.type),
    )
)


def settle(
    connection: Connection, held: Claim, outcome: Outcome, *, retention: float, events: bytes | None = None
) -> Ended:
    """Record how the try ended; nothing has ended, or changed, if the job is no longer this worker's.

    `events` is the packed log of a job that streamed.
    """
    sealer = sealer_of(connection)
    if isinstance(outcome, Failed):
        stored = sealed(sealer, held.job_id, events=events)
        return fail(connection, Move.FAIL, held_by(held), outcome=outcome, retention=retention, **stored)
    stored = sealed(sealer, held.job_id, output=outcome.output, events=events)
    values = {
        "job_id": held.job_id,
        "held_attempt": held.attempt,
        "retention": retention,
        "new_output": stored["output"],
        "new_events": stored["events"],
        "new_usage": outcome.usage.to_json() if outcome.usage else None,
        "new_incomplete_reason": outcome.incomplete_reason,
    }
    row = _COMPLETE.row(connection, values)
    return _ended([row] if row else [])


def keep_events(connection: Connection, *where: ColumnElement[bool], events_of: Callable[[UUID], bytes | None]) -> None:
    """Store the logs of the active jobs that match and have streamed, before somebody else than their worker ends
    them. `events_of` closes a job's log and packs it.
    """
    # All are locked, also those that nobody has claimed or that have not streamed yet: a claim, a first event, or a
    # settle with the whole log, waits and then finds the job ended.
    active = select(jobs.id, jobs.streamed).where(jobs.ended_at.is_(None), *where).with_for_update()
    for job_id, streamed in connection.execute(active).all():
        if streamed:
            stored = sealed(sealer_of(connection), job_id, events=events_of(job_id))
            connection.execute(update(TABLE).where(jobs.id == job_id).values(stored))


def fail(
    connection: Connection,
    move_: Move,
    *where: ColumnElement[bool],
    outcome: Failed,
    retention: float,
    events: bytes | None = None,
) -> Ended:
    """Move the jobs that match to `failed`, whether they were queued or running."""
    rows = move(
        connection,
        move_,
        *where,
        error_code=outcome.failure.value,
        error_message=outcome.message,
        expires_at=retained(retention),
        # What `keep_events()` has put there stays.
        events=func.coalesce(events, jobs.events),
    )
    return _ended(rows)


def take_back(
    connection: Connection, *where: ColumnElement[bool], retention: float, redispatch_after: float
) -> tuple[Ended, list[Dispatch]]:
    """Queue the running jobs that match once more; return those that failed, and what to publish.

    Those with no attempt left, or with output that a reader may have seen, fail with `worker_lost`.
    """
    spent = or_(jobs.attempt >= jobs.max_attempts, jobs.streamed)
    # First, and guarded: whoever streams meanwhile is waited for, and has the job fail below.
    rows = move(
        connection,
        Move.REQUEUE,
        not_(spent),
        *where,
        returning=DISPATCH_COLUMNS,
        worker=None,
        dispatches=0,
        redispatch_at=from_now(redispatch_after),
    )
    given_up = fail(connection, Move.FAIL, spent, *where, outcome=WORKER_LOST, retention=retention)
    return given_up, [dispatch_of(row) for row in rows]


def cancel(connection: Connection, *where: ColumnElement[bool], retention: float) -> tuple[Job, Ended] | None:
    """Cancel one queued or running job; None if it is not there to cancel."""
    rows = move(connection, Move.CANCEL, *where, returning=JOB_COLUMNS, expires_at=retained(retention))
    return next(((job_of(row, sealer_of(connection)), _ended([row])) for row in rows), None)


def delete_ended(connection: Connection, job_id: UUID, api_key_id: UUID) -> bool:
    """Delete the key's job if it has ended."""
    statement = delete(TABLE).where(owned(job_id, api_key_id), jobs.ended_at.is_not(None))
    return connection.execute(statement).rowcount == 1
