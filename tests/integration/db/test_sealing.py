"""What is written with a key is sealed column by column, and opens for who has the key and for nobody else."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from app.db import endings, lookup, submission
from app.db import jobs as db
from app.db.engine import Database
from app.db.models import Job as JobTable
from app.db.sealing import PAYLOADS
from app.domain.encryption import PREFIX, SealedError
from app.domain.events import pack, unpack
from app.domain.ids import new_id
from app.domain.jobs import Completed, Dispatch, Failed, Failure, Idempotency, JobFilter, Usage
from app.domain.lifecycle import Status
from app.domain.requests import JobRequest, message
from tests import rows
from tests.encryption import CANARY, connected

REQUEST = JobRequest(
    "gpt-4.1", (message("user", f"{CANARY} \0 \ud800 ü"),), instructions=CANARY, temperature=1.0, stream=True
)
OUTPUT = [message("assistant", f"{CANARY} \0 \ud800 ☃")]
EVENTS = [b'{"delta":"canary-93c5e1"}', b'{"n":1.0}']
# What the database must see to do its work, or what says nothing of a request's content.
CLEAR = {
    "id", "api_key_id", "status", "model", "background", "stream", "store", "metadata", "soft_time_limit", "time_limit",
    "max_attempts", "attempt", "worker", "idempotency_key", "request_digest", "queue", "dispatches", "redispatch_at",
    "queue_expires_at", "lease_expires_at", "run_deadline_at", "created_at", "started_at", "ended_at", "expires_at",
    "usage", "incomplete_reason", "streamed", "error_code", "error_message", "webhook_endpoint_id", "webhook_url",
    "webhook_events",
}  # fmt: skip


@pytest.fixture
def sealing(database_url: str) -> Iterator[Database]:
    """As a process with the key `a` has it."""
    with connected(database_url, "a") as made:
        yield made


@pytest.fixture
def url(sealing: Database) -> str:
    return sealing.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")


@pytest.fixture
def owner(sealing: Database) -> UUID:
    with sealing.transaction() as connection:
        return rows.add_owner(connection)


def submit(database: Database, owner: UUID, idempotency: Idempotency | None = None) -> UUID:
    sent = Dispatch(new_id(), "default", rows.LIMITS)
    with database.transaction() as connection:
        job = submission.add(
            connection, sent, owner, REQUEST, queue_timeout=60, redispatch_after=60, idempotency=idempotency
        )
    assert job
    assert job.request == REQUEST.parameters()
    return job.id


def run(database: Database, job_id: UUID, outcome: Completed | Failed | None = None) -> None:
    """Claim the job and settle it, with a log."""
    with database.transaction() as connection:
        held = db.claim(connection, job_id, worker="jobs@test", lease=60)
        assert held
        assert held.request == REQUEST
        outcome = outcome or Completed(OUTPUT, Usage(1, 2, 3))
        assert endings.settle(connection, held, outcome, retention=60, events=pack(EVENTS))


def stored(database: Database, job_id: UUID) -> Any:
    with database.transaction() as connection:
        return rows.row(connection, job_id)


def read_all(database: Database, job_id: UUID, owner: UUID) -> None:
    with database.transaction() as connection:
        lookup.get_request(connection, job_id, owner)
        lookup.get_events(connection, job_id)


def test_each_column_is_sealed_or_clear_for_a_reason() -> None:
    assert {column.name for column in JobTable.__table__.c} == CLEAR | set(PAYLOADS)


@pytest.mark.parametrize("outcome", [None, Failed(Failure.SERVER_ERROR, "Something went wrong.")])
def test_every_payload_is_sealed(sealing: Database, owner: UUID, outcome: Failed | None) -> None:
    job_id = submit(sealing, owner)
    run(sealing, job_id, outcome)
    row = stored(sealing, job_id)
    assert [name for name in ("request", "inputs") if not getattr(row, name).startswith(f"{PREFIX}a:")] == []
    assert row.events.startswith(f"{PREFIX}a:".encode())
    assert row.output is None if outcome else row.output.startswith(f"{PREFIX}a:")
    with sealing.transaction() as connection:
        assert CANARY not in str(rows.image(connection, job_id))


def test_every_query_opens_what_it_reads(sealing: Database, owner: UUID) -> None:
    idempotency = Idempotency("once", b"digest")
    job_id = submit(sealing, owner, idempotency)
    run(sealing, job_id)
    with sealing.transaction() as connection:
        repeated = submission.find_repeated(connection, owner, idempotency)
        job, request = lookup.get_request(connection, job_id, owner) or (None, None)
        [listed], _ = lookup.page(connection, owner, JobFilter())
        assert repeated
        found = [job, repeated[0], listed, lookup.get(connection, job_id, owner)]
        events = lookup.get_events(connection, job_id)
    assert request == REQUEST
    assert [(each.request, each.output) for each in found if each] == [(REQUEST.parameters(), OUTPUT)] * 4
    assert unpack(events) == EVENTS
    cancelled = submit(sealing, owner)
    with sealing.transaction() as connection:
        found_cancelled = endings.cancel(connection, db.owned(cancelled, owner), retention=60)
    assert found_cancelled
    job, _ = found_cancelled
    assert (job.request, job.output) == (REQUEST.parameters(), None)


def test_a_log_that_somebody_else_than_the_worker_keeps_is_sealed(sealing: Database, owner: UUID) -> None:
    job_id = submit(sealing, owner)
    with sealing.transaction() as connection:
        held = db.claim(connection, job_id, worker="jobs@test", lease=60)
        assert held
        assert db.start_streaming(connection, held)
        endings.keep_events(connection, db.owned(job_id, owner), events_of=lambda _: pack(EVENTS))
        assert endings.cancel(connection, db.owned(job_id, owner), retention=60)
        assert unpack(lookup.get_events(connection, job_id)) == EVENTS
    assert stored(sealing, job_id).events.startswith(PREFIX.encode())


def test_what_was_stored_before_is_read_as_it_is(own_database: Database) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
    done, waiting = submit(own_database, owner), submit(own_database, owner)
    run(own_database, done)
    url = own_database.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with connected(url, "a") as sealing:
        with sealing.transaction() as connection:
            job, request = lookup.get_request(connection, done, owner) or (None, None)
            assert job
            assert (job.output, request, unpack(lookup.get_events(connection, done))) == (OUTPUT, REQUEST, EVENTS)
        run(sealing, waiting)
        assert CANARY not in str(stored(sealing, waiting).output)


@pytest.mark.parametrize("ids", [(), ("b",), ("off",)])
def test_without_its_key_a_job_is_not_read_and_not_lost(
    sealing: Database, url: str, owner: UUID, ids: tuple[str, ...]
) -> None:
    waiting, done = submit(sealing, owner), submit(sealing, owner)
    run(sealing, done)
    with ExitStack() as stack:
        other = stack.enter_context(connected(url, *ids))
        for job_id in (waiting, done):
            with pytest.raises(SealedError), other.transaction() as connection:
                lookup.get(connection, job_id, owner)
        with pytest.raises(SealedError), other.transaction() as connection:
            lookup.get_events(connection, done)
        with pytest.raises(SealedError), other.transaction() as connection:
            lookup.page(connection, owner, JobFilter())
        with pytest.raises(SealedError), other.transaction() as connection:
            db.claim(connection, waiting, worker="jobs@other", lease=60)
    row = stored(sealing, waiting)
    assert (row.status, row.attempt, row.worker) == (Status.QUEUED, 0, None)
    run(sealing, waiting)


@pytest.mark.parametrize("column", PAYLOADS)
def test_a_value_of_another_job_is_refused(sealing: Database, owner: UUID, column: str) -> None:
    mine, theirs = submit(sealing, owner), submit(sealing, owner)
    for job_id in (mine, theirs):
        run(sealing, job_id)
    with sealing.transaction() as connection:
        connection.execute(text("SELECT set_config('simmer.resealing', 'on', true)"))
        swap = text(f"UPDATE jobs SET {column} = (SELECT {column} FROM jobs WHERE id = :from) WHERE id = :to")
        connection.execute(swap, {"from": theirs, "to": mine})
    with pytest.raises(SealedError):
        read_all(sealing, mine, owner)


def test_a_value_of_another_column_is_refused(sealing: Database, owner: UUID) -> None:
    job_id = submit(sealing, owner)
    with sealing.transaction() as connection:
        connection.execute(text("UPDATE jobs SET request = inputs WHERE id = :id"), {"id": job_id})
    with pytest.raises(SealedError), sealing.transaction() as connection:
        lookup.get(connection, job_id, owner)


RESEALABLE = {"output": [{"n": 2}], "events": b"other"}


@pytest.mark.parametrize(
    "change",
    [
        {"output": None}, {"events": None}, {"status": "failed"}, {"usage": {"total_tokens": 9}}, {"attempt": 2},
        {"error_code": "timeout"}, {"incomplete_reason": "x"}, {"ended_at": rows.EARLIER},
    ],
)  # fmt: skip
@pytest.mark.parametrize("resealing", ["on", "off"])
def test_whatever_is_resealed_an_ended_job_keeps_its_facts(
    own_database: Database, change: dict[str, Any], resealing: str
) -> None:
    with own_database.transaction() as connection:
        job_id = rows.put(connection, rows.add_owner(connection), Status.COMPLETED, stream=True, events=b"log")
    with own_database.transaction() as connection:
        connection.execute(text("SELECT set_config('simmer.resealing', :to, true)"), {"to": resealing})
        with pytest.raises(IntegrityError, match="final"):
            connection.execute(update(JobTable).where(db.jobs.id == job_id).values(change))
        connection.rollback()


@pytest.mark.parametrize("column", RESEALABLE)
def test_the_payload_of_an_ended_job_changes_for_who_reseals_alone(own_database: Database, column: str) -> None:
    with own_database.transaction() as connection:
        job_id = rows.put(connection, rows.add_owner(connection), Status.COMPLETED, stream=True, events=b"log")
    change = update(JobTable).where(db.jobs.id == job_id).values({column: RESEALABLE[column]})
    with own_database.transaction() as connection:
        connection.execute(text("SELECT set_config('simmer.resealing', 'on', true)"))
        connection.execute(change)
    assert getattr(stored(own_database, job_id), column) == RESEALABLE[column]
    # The same connection of the pool: the permission ended with its transaction.
    back = update(JobTable).where(db.jobs.id == job_id).values({column: [] if column == "output" else b""})
    with pytest.raises(IntegrityError, match="final"), own_database.transaction() as connection:
        connection.execute(back)
