"""How the database and what stands in it are doing: limits of the server, its clock, full queues, overdue rows."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from app.db.jobs import from_now, jobs
from app.db.resealing import keys_in_use
from app.domain.lifecycle import Status


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server says of itself. `usable` are the connections that an ordinary user may have in all."""

    now: datetime
    version: str
    read_only: bool
    usable: int
    open: int
    others: int
    """Connections of `open` that are not Simmer's."""
    database_bytes: int


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """The jobs of one queue."""

    queue: str
    queued: int
    running: int
    oldest_queued: float | None
    """Seconds since the first one that waits was accepted."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """Rows that a sweep or a purge should have moved, and seconds since the longest waiting of them was due."""

    what: str
    rows: int
    late: float


_SERVER = text("""
    SELECT clock_timestamp() AS now, current_setting('server_version') AS version, pg_is_in_recovery()
            OR current_setting('default_transaction_read_only')::bool AS read_only,
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS open,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
            AND application_name <> 'simmer') AS others,
        pg_database_size(current_database()) AS database_bytes
""")
# Counted in the partial indexes of active jobs; the first one of a queue by its id, which begins with the time.
_QUEUES = text("""
    SELECT q.queue,
        (SELECT count(*) FROM jobs j WHERE j.status = 'queued' AND j.queue = q.queue) AS queued,
        coalesce(r.running, 0) AS running,
        (SELECT extract(epoch FROM now() - j.created_at)::float FROM jobs j
            WHERE j.status = 'queued' AND j.queue = q.queue ORDER BY j.id LIMIT 1) AS oldest_queued
    FROM unnest(CAST(:queues AS text[])) WITH ORDINALITY AS q (queue, place)
    LEFT JOIN (SELECT queue, count(*) AS running FROM jobs WHERE status = 'in_progress' GROUP BY queue) r
        USING (queue)
    ORDER BY q.place
""")
SAMPLE = 1000
"""Jobs that are looked at for the keys they need."""


def server(connection: Connection) -> ServerFacts:
    """The server's own figures."""
    return ServerFacts(**connection.execute(_SERVER).one()._asdict())


def queues(connection: Connection, names: tuple[str, ...]) -> list[QueueFacts]:
    """How full each of these queues is, by the rows: the broker's messages are hints."""
    return [QueueFacts(**row._asdict()) for row in connection.execute(_QUEUES, {"queues": list(names)})]


def running(connection: Connection) -> dict[str, int]:
    """How many jobs each worker holds."""
    held = select(jobs.worker, func.count()).where(jobs.status == Status.IN_PROGRESS.value).group_by(jobs.worker)
    return {worker or "": count for worker, count in connection.execute(held)}


def overdue(connection: Connection, *, sweep: float, purge: float) -> list[Overdue]:
    """What has waited for the sweep or the purge for longer than so many seconds."""
    in_progress, queued = jobs.status == Status.IN_PROGRESS.value, jobs.status == Status.QUEUED.value
    kinds = (
        ("running jobs whose worker is lost", jobs.lease_expires_at, sweep, in_progress),
        ("queued jobs that are past their deadline", jobs.queue_expires_at, sweep, queued),
        ("expired results", jobs.expires_at, purge, jobs.expires_at.is_not(None)),
    )
    found = []
    for what, due_at, patience, state in kinds:
        late = func.extract("epoch", func.now() - func.min(due_at))
        row = connection.execute(select(func.count(), late).where(state, due_at < from_now(-patience))).one()
        if row[0]:
            found.append(Overdue(what, row[0], float(row[1])))
    return found


def expired(connection: Connection) -> tuple[int, datetime | None]:
    """How many results a purge would delete now, and when the first of them expired."""
    due = select(func.count(), func.min(jobs.expires_at)).where(jobs.expires_at <= func.now())
    row = connection.execute(due).one()
    return row[0], row[1]


def keys_needed(connection: Connection) -> frozenset[str]:
    """The ids of the encryption keys that a sample of the jobs needs: SAMPLE of the oldest, and of the newest."""
    newest = select(jobs.id).order_by(jobs.id.desc()).offset(SAMPLE).limit(1)
    start = connection.execute(newest).scalar_one_or_none()
    found = keys_in_use(connection, None, limit=SAMPLE)
    found += keys_in_use(connection, start, limit=SAMPLE) if start else []
    return frozenset(key_id for _, key_ids in found for key_id in key_ids)
