"""The queries of the sweep and the purge: each one batch, safe when two run at once."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import compress
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, delete, func, literal_column, select, update

from app.db import purging
from app.db.endings import fail, keep_events, take_back
from app.db.jobs import DISPATCH_COLUMNS, MAX_REDISPATCH_INTERVAL, dispatch_of, from_now, jobs
from app.db.models import TABLE
from app.db.purging import Purged
from app.domain.jobs import QUEUE_TIMEOUT, TIMED_OUT, Dispatch, Ended
from app.domain.lifecycle import Move, Status

EventsOf = Callable[[UUID], bytes | None]
"""Closes the log of a job that streamed, and packs it."""

# Literals: a prepared statement's generic plan can't tell that a parameter fits the predicate of a partial index.
_QUEUED = jobs.status == literal_column(f"'{Status.QUEUED}'")
_IN_PROGRESS = jobs.status == literal_column(f"'{Status.IN_PROGRESS}'")


def _batch(limit: int, *where: ColumnElement[bool], first: ColumnElement[Any] = jobs.id) -> Select[tuple[UUID]]:
    """The ids of up to `limit` jobs that match, lowest `first` before the rest, locked for this transaction."""
    batch = (
        select(jobs.id)
        .where(*where)
        .order_by(first)
        .limit(limit)
        # SKIP LOCKED: a row that another sweep, a settle or a cancel holds right now is left to it.
        .with_for_update(skip_locked=True)
        # A CTE: a plain subquery may run once for each row of the statement, each time for `limit` rows more.
        .cte("batch")
    )
    return select(batch.c.id)


def stop_overdue(connection: Connection, *, limit: int, retention: float, events_of: EventsOf) -> Ended:
    """Fail the running jobs whose hard limit has passed: their worker did not record it, or is gone."""
    overdue = _locked(connection, _batch(limit, _IN_PROGRESS, jobs.run_deadline_at < func.now()))
    if not overdue:
        return Ended()
    keep_events(connection, jobs.id.in_(overdue), events_of=events_of)
    return fail(connection, Move.FAIL, jobs.id.in_(overdue), outcome=TIMED_OUT, retention=retention)


def rescue(
    connection: Connection, *, limit: int, retention: float, redispatch_after: float, events_of: EventsOf
) -> tuple[Ended, list[Dispatch]]:
    """Take back running jobs whose lease ran out; return those that failed, and what to publish."""
    lost = _locked(connection, _batch(limit, _IN_PROGRESS, jobs.lease_expires_at < func.now()))
    if not lost:
        return Ended(), []
    keep_events(connection, jobs.id.in_(lost), events_of=events_of)
    return take_back(connection, jobs.id.in_(lost), retention=retention, redispatch_after=redispatch_after)


def _locked(connection: Connection, batch: Select[Any]) -> Sequence[UUID]:
    found: Sequence[UUID] = connection.execute(batch).scalars().all()
    return found


def expire_queued(connection: Connection, *, limit: int, retention: float) -> Ended:
    """Fail the queued jobs that no worker started before their deadline."""
    expired = _batch(limit, _QUEUED, jobs.queue_expires_at < func.now(), first=jobs.queue_expires_at)
    return fail(connection, Move.EXPIRE, jobs.id.in_(expired), outcome=QUEUE_TIMEOUT, retention=retention)


def queues_due(connection: Connection, queues: Sequence[str]) -> list[str]:
    """Those of `queues` in which a message may be lost."""
    due = [select(jobs.id).where(*_overdue(queue)).exists() for queue in queues]
    return list(compress(queues, connection.execute(select(*due)).one()))


def _overdue(queue: str) -> tuple[ColumnElement[bool], ...]:
    return _QUEUED, jobs.queue == queue, jobs.redispatch_at < func.now()


def redispatch(connection: Connection, queue: str, *, limit: int, redispatch_after: float) -> list[Dispatch]:
    """Pick queued jobs whose message may be lost, the longest waiting first, and put their next turn off.

    The interval doubles with every turn: a job that merely waits behind others is not published over and over.
    """
    due = _batch(limit, *_overdue(queue), first=jobs.redispatch_at)
    # The exponent is capped before the power is taken: 2 to the number of a week's dispatches overflows.
    interval = func.least(
        redispatch_after * func.power(2, func.least(jobs.dispatches + 1, 20)), MAX_REDISPATCH_INTERVAL
    )
    statement = (
        update(TABLE)
        .where(jobs.id.in_(due), _QUEUED)
        .values(dispatches=jobs.dispatches + 1, redispatch_at=from_now(interval))
        .returning(*DISPATCH_COLUMNS)
    )
    return [dispatch_of(row) for row in connection.execute(statement)]


def purge(connection: Connection, *, limit: int, since: datetime | None = None) -> Purged:
    """Delete ended jobs whose retention is over, the longest expired first; `since` leaves out what expired before."""
    batch = _batch(limit, *purging.expired(jobs.expires_at, since), first=jobs.expires_at)
    return purging.delete(connection, delete(TABLE).where(jobs.id.in_(batch)), jobs.expires_at)
