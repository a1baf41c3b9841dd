"""A worker that lost its job, and does not know it yet, can write nothing."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Connection

from app.db import endings, sweep
from app.db import jobs as db
from app.db.engine import Database
from app.db.jobs import jobs
from app.domain.ids import new_id
from app.domain.jobs import TIMED_OUT, Claim, Completed
from app.domain.lifecycle import Status
from app.domain.requests import JobRequest
from tests import rows

DONE = Completed([{"type": "message"}], None)


def settle(connection: Connection, held: Claim) -> object:
    return endings.settle(connection, held, DONE, retention=60)


def time_out(connection: Connection, held: Claim) -> object:
    return endings.settle(connection, held, TIMED_OUT, retention=60)


def start_attempt(connection: Connection, held: Claim) -> object:
    return db.start_attempt(connection, held)


def hand_back(connection: Connection, held: Claim) -> object:
    given_up, messages = endings.take_back(connection, db.held_by(held), retention=60, redispatch_after=60)
    return given_up or messages


def start_streaming(connection: Connection, held: Claim) -> object:
    return db.start_streaming(connection, held)


def heartbeat(connection: Connection, held: Claim) -> object:
    return db.extend_leases(connection, [held.fence], lease=60)


WRITES = [settle, time_out, start_attempt, start_streaming, hand_back, heartbeat]
Write = Callable[[Connection, Claim], object]


def claim(connection: Connection, job_id: UUID) -> Claim:
    claimed = db.claim(connection, job_id, worker="jobs@test", lease=60)
    assert claimed
    return claimed


def refused(connection: Connection, write: Write, held: Claim) -> bool:
    before = rows.image(connection, held.job_id)
    return not write(connection, held) and rows.image(connection, held.job_id) == before


@pytest.mark.parametrize("write", WRITES)
def test_the_holder_may_write(database: Database, owner: UUID, write: Write) -> None:
    with database.transaction() as connection:
        assert write(connection, claim(connection, rows.put(connection, owner, stream=True)))


@pytest.mark.parametrize("write", WRITES)
def test_a_zombie_is_refused_while_its_job_waits_again(database: Database, owner: UUID, write: Write) -> None:
    with database.transaction() as connection:
        held = _claim_and_lose(connection, owner)
        assert rows.row(connection, held.job_id).status == "queued"
        assert refused(connection, write, held)


@pytest.mark.parametrize("write", WRITES)
def test_a_zombie_is_refused_while_another_runs_its_job(database: Database, owner: UUID, write: Write) -> None:
    with database.transaction() as connection:
        held = _claim_and_lose(connection, owner)
        heir = claim(connection, held.job_id)
        assert heir.attempt == 2
        assert refused(connection, write, held)
        assert settle(connection, heir)


def _claim_and_lose(connection: Connection, owner: UUID) -> Claim:
    held = claim(connection, rows.put(connection, owner, stream=True))
    rows.change(connection, held.job_id, lease_expires_at=rows.EARLIER)
    no_logs: sweep.EventsOf = lambda _: None  # noqa: E731
    given_up, messages = sweep.rescue(connection, limit=9, retention=60, redispatch_after=60, events_of=no_logs)
    assert (given_up.job_ids, [message.job_id for message in messages]) == ([], [held.job_id])
    return held


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_written_after_a_cancel(database: Database, owner: UUID, write: Write) -> None:
    with database.transaction() as connection:
        held = claim(connection, rows.put(connection, owner))
        assert endings.cancel(connection, jobs.id == held.job_id, retention=60)
        assert refused(connection, write, held)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_nothing_is_written_after_an_end(database: Database, owner: UUID, write: Write, status: Status) -> None:
    with database.transaction() as connection:
        held = rows.claim_of(rows.put(connection, owner, status))
        assert refused(connection, write, held)


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_written_for_a_job_that_is_gone(database: Database, write: Write) -> None:
    with database.transaction() as connection:
        assert refused(connection, write, rows.claim_of(new_id()))


@pytest.mark.parametrize("write", WRITES)
def test_the_attempt_before_counts_no_more(database: Database, owner: UUID, write: Write) -> None:
    with database.transaction() as connection:
        held = claim(connection, rows.put(connection, owner))
        assert db.start_attempt(connection, held) == 2
        assert refused(connection, write, held)


def test_only_own_leases_are_extended(database: Database, owner: UUID) -> None:
    with database.transaction() as connection:
        kept, cancelled, anothers, foreign = [rows.put(connection, owner, Status.IN_PROGRESS) for _ in range(4)]
        rows.change(connection, anothers, attempt=2)
        endings.cancel(connection, jobs.id == cancelled, retention=60)
        before = {job_id: rows.row(connection, job_id).lease_expires_at for job_id in (kept, anothers, foreign)}
        fences = [(kept, 1), (cancelled, 1), (anothers, 1), (new_id(), 1)]
        assert db.extend_leases(connection, fences, lease=7200) == {kept}
        after = {job_id: rows.row(connection, job_id).lease_expires_at for job_id in before}
    assert after[kept] > before[kept]
    assert (after[anothers], after[foreign]) == (before[anothers], before[foreign])


def test_a_fence_belongs_to_its_own_job(database: Database, owner: UUID) -> None:
    """Ids and attempts travel as two arrays: a mixed-up pair must not count."""
    with database.transaction() as connection:
        first, second = [rows.put(connection, owner, Status.IN_PROGRESS) for _ in range(2)]
        rows.change(connection, second, attempt=2)
        assert db.extend_leases(connection, [(first, 2), (second, 1)], lease=60) == set()
        assert db.extend_leases(connection, [(second, 2), (first, 1)], lease=60) == {first, second}


def test_no_attempt_is_started_beyond_the_last(database: Database, owner: UUID) -> None:
    with database.transaction() as connection:
        job_id = rows.put(connection, owner, Status.IN_PROGRESS, attempt=4)
        assert db.start_attempt(connection, rows.claim_of(job_id, attempt=4)) is None
        spent = rows.put(connection, owner, attempt=4)
        assert db.claim(connection, spent, worker="jobs@test", lease=60) is None


def test_a_claim_carries_what_the_worker_needs(database: Database, owner: UUID) -> None:
    with database.transaction() as connection:
        job_id = rows.put(connection, owner)
        assert claim(connection, job_id) == Claim(job_id, 1, JobRequest("gpt-4.1", ()), rows.LIMITS)
        row = rows.row(connection, job_id)
    assert (row.lease_expires_at - row.started_at).total_seconds() == 60
    assert (row.run_deadline_at - row.started_at).total_seconds() == rows.LIMITS.time_limit + db.HARD_LIMIT_GRACE
