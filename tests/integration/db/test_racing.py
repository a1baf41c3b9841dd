"""Races on one row: of any number who want to move a job, one does, and the others are told."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from app.db import endings, sweep
from app.db import jobs as db
from app.db.engine import Database
from app.db.jobs import jobs
from app.domain.jobs import TIMED_OUT, Completed, Dispatch
from app.domain.lifecycle import Status
from tests import rows
from tests.processes import wait_until

RACERS = 16
DEADLINE = 30.0
DONE = Completed([{"type": "message"}], None)


@pytest.fixture
def racers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(RACERS) as pool:
        yield pool


def put(database: Database, owner: UUID, status: Status = Status.QUEUED) -> UUID:
    with database.transaction() as connection:
        return rows.put(connection, owner, status)


def test_sixteen_claims_have_one_winner(database: Database, owner: UUID, racers: ThreadPoolExecutor) -> None:
    start = Barrier(RACERS)

    def claim(number: int, job_id: UUID) -> int | None:
        with database.transaction() as connection:
            start.wait(DEADLINE)
            return number if db.claim(connection, job_id, worker=f"jobs@{number}", lease=60) else None

    for _ in range(20):
        job_id = put(database, owner)
        claims = [racers.submit(claim, number, job_id) for number in range(RACERS)]
        winners = [number for done in claims if (number := done.result(DEADLINE)) is not None]
        assert len(winners) == 1
        with database.transaction() as connection:
            row = rows.row(connection, job_id)
        assert (row.status, row.attempt, row.worker) == ("in_progress", 1, f"jobs@{winners[0]}")


def test_of_cancel_and_settle_one_happens(database: Database, owner: UUID, racers: ThreadPoolExecutor) -> None:
    job_ids = [put(database, owner, Status.IN_PROGRESS) for _ in range(300)]
    start = Barrier(2)

    def race(write: Callable[[Connection, UUID], object], seed: int) -> list[bool]:
        head_start = Random(seed)
        results = []
        for job_id in job_ids:
            with database.transaction() as connection:
                start.wait(DEADLINE)
                # Which of the two is first changes from job to job.
                connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": head_start.uniform(0, 0.001)})
                results.append(bool(write(connection, job_id)))
        return results

    settled = racers.submit(race, _settle, 1)
    cancelled = racers.submit(race, _cancel, 2)
    told = list(zip(settled.result(60), cancelled.result(60), strict=True))
    with database.transaction() as connection:
        ends = [rows.row(connection, job_id).status for job_id in job_ids]
    expected = {(True, False): "completed", (False, True): "cancelled"}
    assert ends == [expected.get(who, f"told {who}") for who in told]
    assert len(Counter(ends)) == 2, "only one of the two ever won"


def _settle(connection: Connection, job_id: UUID) -> object:
    return endings.settle(connection, rows.claim_of(job_id), DONE, retention=60)


def _cancel(connection: Connection, job_id: UUID) -> object:
    return endings.cancel(connection, jobs.id == job_id, retention=60)


def _time_out(connection: Connection, job_id: UUID) -> object:
    return endings.settle(connection, rows.claim_of(job_id), TIMED_OUT, retention=60)


def _take_back(connection: Connection, job_id: UUID) -> object:
    held = db.held_by(rows.claim_of(job_id))
    given_up, messages = endings.take_back(connection, held, retention=60, redispatch_after=60)
    return given_up or messages


def _heartbeat(connection: Connection, job_id: UUID) -> object:
    return db.extend_leases(connection, [(job_id, 1)], lease=60)


def _next_attempt(connection: Connection, job_id: UUID) -> object:
    return db.start_attempt(connection, rows.claim_of(job_id))


WRITES = {
    "settle": _settle,
    "time out": _time_out,
    "cancel": _cancel,
    "take back": _take_back,
    "heartbeat": _heartbeat,
    "next attempt": _next_attempt,
}
ENDS = ["settle", "time out", "cancel", "take back"]


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", WRITES)
def test_who_waits_for_the_rows_lock_is_told_what_happened_meanwhile(
    database: Database, owner: UUID, racers: ThreadPoolExecutor, first: str, second: str
) -> None:
    """The second writer began while the job was running; it must look again once it has the lock."""
    job_id = put(database, owner, Status.IN_PROGRESS)
    with database.transaction() as connection:
        assert WRITES[first](connection, job_id)
        outcome, late = _start(racers, database, WRITES[second], job_id)
        _wait_until_blocked(database, late)
    # Whoever asked for the job back finds it queued, where a cancel is still welcome.
    assert bool(outcome.result(DEADLINE)) == (first == "take back" and second == "cancel")


@pytest.mark.parametrize("second", WRITES)
def test_who_waits_for_a_writer_that_rolls_back_is_served(
    database: Database, owner: UUID, racers: ThreadPoolExecutor, second: str
) -> None:
    job_id = put(database, owner, Status.IN_PROGRESS)
    with database.transaction() as connection:
        assert _cancel(connection, job_id)
        outcome, late = _start(racers, database, WRITES[second], job_id)
        _wait_until_blocked(database, late)
        connection.rollback()
    assert outcome.result(DEADLINE)


def _start(
    racers: ThreadPoolExecutor, database: Database, write: Callable[[Connection, UUID], object], job_id: UUID
) -> tuple[Future[object], int]:
    """Run `write` in a transaction of its own, in another thread; return its result to come and its backend."""
    backend: Future[int] = Future()

    def run() -> object:
        with database.transaction() as connection:
            backend.set_result(connection.scalar(text("SELECT pg_backend_pid()")) or 0)
            return write(connection, job_id)

    return racers.submit(run), backend.result(DEADLINE)


def _wait_until_blocked(database: Database, backend: int) -> None:
    blocked = text("SELECT cardinality(pg_blocking_pids(:pid))")
    with database.transaction() as connection:
        wait_until(lambda: connection.scalar(blocked, {"pid": backend}), DEADLINE, "the second writer waits")


Batch = Callable[[Connection], int]
BATCH = 12


def _no_log(_job_id: UUID) -> None:
    return None


def _rescue(connection: Connection) -> list[Dispatch]:
    return sweep.rescue(connection, limit=BATCH, retention=60, redispatch_after=10, events_of=_no_log)[1]


BATCHES: dict[str, tuple[Status, dict[str, Any], Batch]] = {
    "publish": (
        Status.QUEUED,
        {"redispatch_at": rows.EARLIER},
        lambda connection: len(sweep.redispatch(connection, "default", limit=BATCH, redispatch_after=10)),
    ),
    "expire": (
        Status.QUEUED,
        {"queue_expires_at": rows.EARLIER},
        lambda connection: len(sweep.expire_queued(connection, limit=BATCH, retention=60).job_ids),
    ),
    "rescue": (
        Status.IN_PROGRESS,
        {"lease_expires_at": rows.EARLIER},
        lambda connection: len(_rescue(connection)),
    ),
    "stop": (
        Status.IN_PROGRESS,
        {"run_deadline_at": rows.EARLIER},
        lambda connection: len(sweep.stop_overdue(connection, limit=BATCH, retention=60, events_of=_no_log).job_ids),
    ),
    "purge": (
        Status.COMPLETED,
        {"expires_at": rows.EARLIER},
        lambda connection: sweep.purge(connection, limit=BATCH).deleted,
    ),
}


@pytest.mark.parametrize("what", BATCHES)
def test_two_batches_at_once_share_no_job_and_keep_their_size(
    own_database: Database, racers: ThreadPoolExecutor, what: str
) -> None:
    """The first holds its rows uncommitted while the second runs; the second waits for none of them."""
    status, due, batch = BATCHES[what]

    def alone() -> int:
        with own_database.transaction() as connection:
            return batch(connection)

    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        for _ in range(20):
            rows.put(connection, owner, status, **due)
    with own_database.transaction() as connection:
        first = batch(connection)
        second = racers.submit(alone).result(DEADLINE)
    assert (first, second, alone()) == (12, 8, 0)
