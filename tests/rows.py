"""Jobs put straight into the table, in any state and any number, and what stands there afterwards."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, text, update

from app.db import keys
from app.db.models import Job as JobTable
from app.db.webhook_models import WebhookAttempt, WebhookEndpoint
from app.domain.ids import new_id
from app.domain.jobs import Claim, Limits
from app.domain.lifecycle import Status
from app.domain.requests import JobRequest
from app.domain.webhooks import SUBSCRIBABLE

NOW = text("now()")
LATER = text("now() + interval '1 hour'")
EARLIER = text("now() - interval '1 hour'")
LIMITS = Limits(soft_time_limit=50, time_limit=60, max_attempts=4)

_jobs = JobTable.__table__.c
_COMMON: dict[str, Any] = {
    "model": "gpt-4.1",
    "request": {},
    "inputs": {"inputs": []},
    "background": True,
    "stream": False,
    "store": True,
    "metadata_": {},
    "soft_time_limit": LIMITS.soft_time_limit,
    "time_limit": LIMITS.time_limit,
    "max_attempts": LIMITS.max_attempts,
    "queue": "default",
    "queue_expires_at": LATER,
}
_STARTED: dict[str, Any] = {"attempt": 1, "worker": "jobs@test", "started_at": NOW}
_ENDED: dict[str, Any] = {**_STARTED, "ended_at": NOW, "expires_at": LATER}
OF_STATUS: dict[Status, dict[str, Any]] = {
    Status.QUEUED: {"redispatch_at": LATER},
    Status.IN_PROGRESS: {**_STARTED, "lease_expires_at": LATER, "run_deadline_at": LATER},
    Status.COMPLETED: {**_ENDED, "output": [{"type": "message"}], "usage": {"total_tokens": 3}},
    Status.FAILED: {**_ENDED, "error_code": "server_error", "error_message": "Something went wrong."},
    Status.CANCELLED: _ENDED,
}

_FILL = text("""
    INSERT INTO jobs (id, api_key_id, status, model, request, inputs, background, stream, store, metadata,
        idempotency_key, request_digest, soft_time_limit, time_limit, max_attempts,
        attempt, queue, queue_expires_at, redispatch_at, lease_expires_at, run_deadline_at, created_at,
        ended_at, expires_at, output, error_code, error_message)
    SELECT uuidv7(n * interval '1 ms'), owners[1 + n / 100 % cardinality(owners)], status, 'gpt-4.1',
        '{}', '{"inputs": []}', true, false, true, jsonb_build_object('n', n::text),
        CASE WHEN n % 10 = 0 THEN gen_random_uuid()::text END, CASE WHEN n % 10 = 0 THEN 'digest'::bytea END, 50, 60, 4,
        CASE WHEN status = 'queued' THEN 0 ELSE 1 END, 'default', now() + n * interval '1 s',
        CASE WHEN status = 'queued' THEN now() + n * interval '1 ms' END,
        CASE WHEN status = 'in_progress' THEN now() + interval '1 hour' END,
        CASE WHEN status = 'in_progress' THEN now() + interval '1 hour' END,
        now(),
        CASE WHEN ended THEN now() - interval '24 hours' END,
        CASE WHEN ended THEN now() + CASE WHEN n / 7 % :expired_every = 0 THEN -1 ELSE 1 END * interval '1 hour' END,
        CASE WHEN status = 'completed' THEN json_build_array(n) END,
        CASE WHEN status = 'failed' THEN 'server_error' END,
        CASE WHEN status = 'failed' THEN 'Something went wrong.' END
    FROM generate_series(1, :count) AS n,
        (SELECT CAST(:owners AS uuid[]) AS owners, CAST(:statuses AS text[]) AS statuses) AS given,
        LATERAL (SELECT statuses[1 + n % cardinality(statuses)] AS status) AS s,
        LATERAL (SELECT status NOT IN ('queued', 'in_progress') AS ended) AS e
""")


def add_owner(connection: Connection) -> UUID:
    """A key that may own jobs."""
    return keys.add(connection, new_id(), "owner", ["responses:read"], None).id


def add_endpoint(
    connection: Connection, owner: UUID, url: str, *, events: Sequence[str] = SUBSCRIBABLE, **columns: Any
) -> UUID:
    """A webhook endpoint of the key, which is told of all its jobs."""
    endpoint_id = new_id()
    values = {"id": endpoint_id, "api_key_id": owner, "source": "api", "url": url, "events": list(events), **columns}
    connection.execute(insert(WebhookEndpoint.__table__).values(values))  # type: ignore[arg-type]
    return endpoint_id


def add_attempt(connection: Connection, endpoint_id: UUID, event_id: UUID, **columns: Any) -> None:
    """A try of a delivery, which ended."""
    values = {"endpoint_id": endpoint_id, "event_id": event_id, "started_at": NOW, **columns}
    connection.execute(insert(WebhookAttempt.__table__).values(values))  # type: ignore[arg-type]


def put(connection: Connection, owner: UUID, status: Status = Status.QUEUED, /, **columns: Any) -> UUID:
    """Insert one job in a state, with everything that the state demands; `columns` overrides what is set."""
    job_id = new_id()
    values = {"id": job_id, "api_key_id": owner, "status": status.value, **_COMMON, **OF_STATUS[status], **columns}
    connection.execute(insert(JobTable).values(values))
    return job_id


def fill(
    connection: Connection, owners: Sequence[UUID], count: int, *, statuses: Sequence[Status], expired_every: int
) -> None:
    """Insert `count` jobs that take the statuses in turn; one in `expired_every` of the ended ones has expired."""
    values = {"owners": list(owners), "statuses": [status.value for status in statuses]}
    connection.execute(_FILL, {**values, "count": count, "expired_every": expired_every})


def change(connection: Connection, job_id: UUID, **columns: Any) -> None:
    """Set columns of one row behind the product's back: mostly to move times."""
    connection.execute(update(JobTable).where(_jobs.id == job_id).values(columns))


def row(connection: Connection, job_id: UUID) -> Row[Any]:
    """The row as it stands."""
    return connection.execute(select(*_jobs).where(_jobs.id == job_id)).one()


def image(connection: Connection, job_id: UUID) -> str | None:
    """Every column of the row in one text, to compare; None if there is no such row."""
    found: str | None = connection.scalar(text("SELECT j::text FROM jobs AS j WHERE id = :id"), {"id": job_id})
    return found


def claim_of(job_id: UUID, attempt: int = 1) -> Claim:
    """What the worker holds that has claimed a job of `put()`."""
    return Claim(job_id, attempt, JobRequest("gpt-4.1", ()), LIMITS)
