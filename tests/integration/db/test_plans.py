"""Every query on 100,000 jobs goes through the index that was made for it, whichever kind of plan Postgres makes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from app.db import endings, keys, lookup, metrics, submission, sweep
from app.db import jobs as db
from app.db.engine import Database
from app.domain.jobs import JOB_QUEUES, TIMED_OUT, Completed, Idempotency, Job, JobFilter
from app.domain.lifecycle import Status
from app.domain.secrets import digest
from tests import rows
from tests.databases import migrated
from tests.plans import explain, statements

JOBS = 100_000
OWNERS = 20
SECRETS = 2_000
ENDPOINTS = 2_000
# In a hundred jobs: one runs, twenty wait, the rest has ended.
STATUSES = [
    Status.IN_PROGRESS,
    *[Status.QUEUED] * 20,
    *[Status.COMPLETED] * 60,
    *[Status.FAILED] * 10,
    *[Status.CANCELLED] * 9,
]
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
LOST = "SELECT id FROM jobs WHERE status = 'in_progress' LIMIT 20"
PKEY = "jobs_pkey"
LIST = "jobs_api_key_id_id_idx"
RUNNING = "jobs_in_progress_idx"
QUEUED = "jobs_queued_idx"
# Each of them finds a job by its id; that of the queued ones skips from queue to queue.
BY_ID = {PKEY, LIST, RUNNING, QUEUED}
# Whoever ends a job looks for those who want to know; they are few, and to end many jobs at once all may be read.
OF_OWNER = "webhook_endpoints_api_key_id_id_idx"
FEW = {"api_keys", "webhook_endpoints"}


@dataclass(frozen=True, slots=True)
class Rows:
    """What the queries are asked about."""

    owner: UUID
    job_id: UUID
    newest: Job
    """It waits behind all others."""
    fences: list[tuple[UUID, int]]


@pytest.fixture(scope="module")
def full(postgres: str) -> Iterator[Database]:
    """100,000 jobs of 20 keys in every state."""
    with migrated(postgres, "full_of_jobs", statement_timeout=60) as database:
        with database.transaction() as connection:
            owners = [rows.add_owner(connection) for _ in range(OWNERS)]
            rows.fill(connection, owners, JOBS, statuses=STATUSES, expired_every=50)
            connection.execute(text(f"UPDATE jobs SET lease_expires_at = now() - interval '1 s' WHERE id IN ({LOST})"))
            for number in range(SECRETS):
                keys.add_secret(connection, owners[number % OWNERS], digest(str(number)), "hint")
            for number in range(ENDPOINTS):
                rows.add_endpoint(connection, owners[number % OWNERS], f"https://{number}.example.com/")
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # As autovacuum does in the background.
            connection.execute(text("VACUUM ANALYZE"))
        yield database


@pytest.fixture(scope="module")
def sample(full: Database) -> Rows:
    with full.transaction() as connection:
        found = connection.execute(text("SELECT id, attempt, api_key_id FROM jobs WHERE status = 'in_progress'")).all()
        newest = connection.execute(text("SELECT id, api_key_id FROM jobs WHERE status = 'queued' ORDER BY id DESC"))
        job = lookup.get(connection, *next(iter(newest)))
    assert job
    assert len(found) == JOBS // 100
    return Rows(found[0].api_key_id, found[0].id, job, [(row.id, row.attempt) for row in found])


Query = Callable[[Connection, Rows], object]


def page(**wanted: Any) -> Query:
    return lambda connection, sample: lookup.page(connection, sample.owner, JobFilter(**wanted))


def page_after(order: Any) -> Query:
    return lambda connection, sample: lookup.page(connection, sample.owner, JobFilter(after=sample.job_id, order=order))


def settle(outcome: Any) -> Query:
    return lambda connection, sample: endings.settle(connection, rows.claim_of(sample.job_id), outcome, retention=60)


def no_log(_job_id: UUID) -> None:
    """What a job holds that never streamed."""


# The query, and the index that finds its rows; None where it knows their ids.
QUERIES: dict[str, tuple[Query, str | None]] = {
    "get": (lambda connection, sample: lookup.get(connection, sample.job_id, sample.owner), None),
    "get with the request": (
        lambda connection, sample: lookup.get_request(connection, sample.job_id, sample.owner),
        None,
    ),
    "get the log": (lambda connection, sample: lookup.get_events(connection, sample.job_id), None),
    "what has become of 1,000": (
        lambda connection, sample: lookup.statuses(connection, [job_id for job_id, _ in sample.fences]),
        PKEY,
    ),
    "get with the place in the queue": (
        lambda connection, sample: lookup.get(connection, sample.newest.id, sample.newest.api_key_id),
        QUEUED,
    ),
    "what a key has under way": (
        lambda connection, sample: submission.count_active(connection, sample.owner, 1_000),
        "jobs_active_idx",
    ),
    "what all keys have queued": (
        lambda connection, sample: submission.count_queued(connection, 10_000),
        # Each index of the queued jobs would do; this one is the smallest.
        "jobs_queue_expires_idx",
    ),
    "a repeated idempotency key": (
        lambda connection, sample: submission.find_repeated(connection, sample.owner, Idempotency("7", b"digest")),
        "jobs_idempotency_key_idx",
    ),
    "first page": (page(), LIST),
    "oldest first": (page(order="asc"), LIST),
    "next page": (page_after("desc"), LIST),
    "next page, oldest first": (page_after("asc"), LIST),
    "page of a status": (page(status=Status.COMPLETED), LIST),
    "page of a model": (page(model="gpt-4.1"), LIST),
    "page by metadata": (page(metadata={"n": "7"}), LIST),
    "claim": (
        lambda connection, sample: db.claim(connection, sample.job_id, worker="jobs@test", lease=60),
        None,
    ),
    "start attempt": (
        lambda connection, sample: db.start_attempt(connection, rows.claim_of(sample.job_id)),
        None,
    ),
    "complete": (settle(Completed([], None)), None),
    "fail": (settle(TIMED_OUT), None),
    "hand back": (
        lambda connection, sample: endings.take_back(
            connection, db.held_by(rows.claim_of(sample.job_id)), retention=60, redispatch_after=10
        ),
        None,
    ),
    "cancel": (
        lambda connection, sample: endings.cancel(connection, db.owned(sample.job_id, sample.owner), retention=60),
        None,
    ),
    "delete": (lambda connection, sample: endings.delete_ended(connection, sample.job_id, sample.owner), None),
    "heartbeat of 1,000": (
        lambda connection, sample: db.extend_leases(connection, sample.fences, lease=60),
        None,
    ),
    "heartbeat of one": (
        lambda connection, sample: db.extend_leases(connection, sample.fences[:1], lease=60),
        None,
    ),
    "stop overdue": (
        lambda connection, sample: sweep.stop_overdue(connection, limit=500, retention=60, events_of=no_log),
        RUNNING,
    ),
    "rescue": (
        lambda connection, sample: sweep.rescue(
            connection, limit=500, retention=60, redispatch_after=10, events_of=no_log
        ),
        RUNNING,
    ),
    "expire queued": (
        lambda connection, sample: sweep.expire_queued(connection, limit=500, retention=60),
        "jobs_queue_expires_idx",
    ),
    "which queues to look at": (
        lambda connection, sample: sweep.queues_due(connection, JOB_QUEUES),
        "jobs_redispatch_idx",
    ),
    "redispatch": (
        lambda connection, sample: sweep.redispatch(connection, "default", limit=500, redispatch_after=10),
        "jobs_redispatch_idx",
    ),
    "purge": (lambda connection, sample: sweep.purge(connection, limit=500), "jobs_expires_idx"),
    "the purge's next batch": (
        lambda connection, sample: sweep.purge(connection, limit=500, since=LONG_AGO),
        "jobs_expires_idx",
    ),
    "what has ended since": (
        lambda connection, sample: metrics.ended_between(connection, LONG_AGO, datetime.now(UTC), limit=500),
        "jobs_ended_idx",
    ),
    "look a key up": (
        lambda connection, sample: keys.find(connection, digest("7")),
        "api_key_secrets_pkey",
    ),
    "rotate a key": (
        lambda connection, sample: keys.retire_secrets(connection, sample.owner, overlap=60),
        "api_key_secrets_api_key_id_idx",
    ),
}


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("name", QUERIES)
def test_each_query_uses_its_index(full: Database, sample: Rows, name: str, generic: bool) -> None:
    query, index = QUERIES[name]
    with full.engine.connect() as connection:
        sent = statements(connection, lambda: query(connection, sample))
        connection.rollback()
        plans = [explain(connection, *statement, generic=generic) for statement in sent]
    assert index is None or index in plans[0].indexes
    for plan in plans:
        assert plan.indexes
        assert plan.indexes <= {index, OF_OWNER, *BY_ID}
        assert plan.read_whole <= FEW


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("name", ["first page", "oldest first", "next page", "next page, oldest first"])
def test_a_page_is_read_in_order_and_never_sorted(full: Database, sample: Rows, name: str, generic: bool) -> None:
    with full.engine.connect() as connection:
        [statement] = statements(connection, lambda: QUERIES[name][0](connection, sample))
        assert explain(connection, *statement, generic=generic).kinds == {"Limit", "Index Scan"}


def test_a_heartbeat_touches_no_index(full: Database, sample: Rows) -> None:
    """Leases are extended every few seconds: such an update must be a HOT one."""
    with full.transaction() as connection:
        [definitions] = connection.execute(
            text("SELECT string_agg(pg_get_indexdef(indexrelid), ';') FROM pg_index WHERE indrelid = 'jobs'::regclass")
        ).one()
    assert "lease_expires_at" not in definitions
