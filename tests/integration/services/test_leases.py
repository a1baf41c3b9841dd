"""The heartbeat: what is still this worker's is kept, all else is aborted, once; and its races with a settle."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn
from uuid import UUID

import pytest

from app.db import endings
from app.db import jobs as db
from app.db.engine import Database
from app.domain.errors import UnavailableError
from app.domain.jobs import Completed
from app.domain.lifecycle import Status
from app.services.leases import Lease, Leases
from app.settings import Settings
from tests import rows
from tests.processes import free_port
from tests.statements import after_first, recorded

DURATION = 60.0
HEARTBEAT = "unnest"


@dataclass
class Worker:
    """Leases on a clock of their own, and what became of their jobs."""

    leases: Leases
    now: list[float]
    aborted: list[UUID] = field(default_factory=list)

    def hold(self, job_id: UUID, attempt: int = 1) -> Lease:
        return self.leases.hold(
            rows.claim_of(job_id, attempt), lambda: self.aborted.append(job_id), claimed_at=self.now[0]
        )


@pytest.fixture
def worker(database: Database) -> Worker:
    now = [1000.0]
    return Worker(Leases(database, DURATION, clock=lambda: now[0]), now)


@pytest.fixture
def running(database: Database, owner: UUID) -> Callable[[], UUID]:
    def put() -> UUID:
        with database.transaction() as connection:
            return rows.put(connection, owner, Status.IN_PROGRESS, lease_expires_at=rows.NOW)

    return put


def lease_of(database: Database, job_id: UUID) -> Any:
    with database.transaction() as connection:
        return rows.row(connection, job_id).lease_expires_at


def cancel(database: Database, job_id: UUID) -> None:
    with database.transaction() as connection:
        assert endings.cancel(connection, db.jobs.id == job_id, retention=60)


def test_a_beat_extends_what_is_held(worker: Worker, database: Database, running: Callable[[], UUID]) -> None:
    job_ids = [running() for _ in range(3)]
    before = [lease_of(database, job_id) for job_id in job_ids]
    leases = [worker.hold(job_id) for job_id in job_ids]
    worker.now[0] += 10
    worker.leases.beat()
    extended = [lease_of(database, job_id) - then for job_id, then in zip(job_ids, before, strict=True)]
    assert all(by.total_seconds() >= DURATION for by in extended)
    assert {lease.valid_until for lease in leases} == {1010.0 + DURATION}
    assert worker.aborted == []


def test_validity_counts_from_before_the_statement_was_sent(
    worker: Worker, database: Database, running: Callable[[], UUID]
) -> None:
    lease = worker.hold(running())

    def pass_time() -> None:
        worker.now[0] += 7

    with after_first(database, HEARTBEAT, pass_time):
        worker.leases.beat()
    assert lease.valid_until == 1000.0 + DURATION


def test_a_lost_job_is_aborted_once_and_the_others_stay(
    worker: Worker, database: Database, running: Callable[[], UUID]
) -> None:
    cancelled, rescued, kept = running(), running(), running()
    for job_id in (cancelled, rescued, kept):
        worker.hold(job_id)
    cancel(database, cancelled)
    with database.transaction() as connection:
        rows.change(connection, rescued, attempt=2)
    for _ in range(2):
        worker.leases.beat()
        assert sorted(worker.aborted) == sorted([cancelled, rescued])
    with database.transaction() as connection:
        rows.change(connection, kept, attempt=2)
    worker.leases.beat()
    assert worker.aborted[2:] == [kept]


def test_nothing_held_asks_nothing(worker: Worker, database: Database) -> None:
    with recorded(database) as sent:
        worker.leases.beat()
    assert sent == []


def test_a_released_job_is_neither_extended_nor_aborted(
    worker: Worker, database: Database, running: Callable[[], UUID]
) -> None:
    job_id = running()
    before = lease_of(database, job_id)
    worker.leases.release(worker.hold(job_id))
    worker.leases.beat()
    assert lease_of(database, job_id) == before
    assert worker.aborted == []


def test_without_a_database_jobs_go_on_until_their_lease_ends() -> None:
    down = Database(Settings(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none"))
    now = [1000.0]
    worker = Worker(Leases(down, DURATION, clock=lambda: now[0]), now)
    first, later = (rows.claim_of(UUID(int=number)).job_id for number in (1, 2))
    lease = worker.hold(first)
    now[0] += 30
    worker.hold(later)
    now[0] = 1000.0 + DURATION - 0.01
    worker.leases.beat()
    assert (worker.aborted, worker.leases.expired(lease), lease.valid_until) == ([], False, 1000.0 + DURATION)
    now[0] = 1000.0 + DURATION
    worker.leases.beat()
    worker.leases.beat()
    assert (worker.aborted, worker.leases.expired(lease)) == ([first], True)
    now[0] += 30
    worker.leases.beat()
    assert worker.aborted == [first, later]


def test_after_a_failure_beats_go_on_until_the_database_answers(worker: Worker, database: Database) -> None:
    """With nothing held, too: who must take no jobs would never hear that it may again."""
    answers = [worker.leases.database_answers]
    worker.leases.note_failure()
    answers.append(worker.leases.database_answers)
    with recorded(database) as sent:
        worker.leases.beat()
    assert len(sent) == 1
    assert [*answers, worker.leases.database_answers] == [True, False, True]


def test_a_beat_that_fails_or_waits_says_that_the_database_does_not_answer() -> None:
    now = [1000.0]
    waited: list[bool] = []

    class Dumb(Database):
        def autocommit(self) -> NoReturn:
            for seconds in (0.0, 2.0):
                now[0] += seconds
                waited.append(cut_off.leases.database_answers)
            raise UnavailableError("gone")

    dumb = Dumb(Settings(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none"))
    cut_off = Worker(Leases(dumb, DURATION, clock=lambda: now[0]), now)
    cut_off.hold(UUID(int=1))
    cut_off.leases.beat()
    assert waited == [True, False]
    assert not cut_off.leases.database_answers


def test_a_job_settled_while_the_beat_was_under_way_is_not_aborted(
    worker: Worker, database: Database, running: Callable[[], UUID]
) -> None:
    """Its settle came first, so the answer does not have it; its release comes before the answer is read."""
    job_id = running()
    lease = worker.hold(job_id)
    with database.transaction() as connection:
        assert endings.settle(connection, lease.claim, Completed([], None), retention=60)
    with after_first(database, HEARTBEAT, lambda: worker.leases.release(lease)):
        worker.leases.beat()
    assert worker.aborted == []


def test_a_next_attempt_started_meanwhile_is_not_aborted(
    worker: Worker, database: Database, running: Callable[[], UUID]
) -> None:
    job_id = running()
    lease = worker.hold(job_id)
    with database.transaction() as connection:
        assert db.start_attempt(connection, lease.claim) == 2

    def note() -> None:
        lease.claim = replace(lease.claim, attempt=2)

    with after_first(database, HEARTBEAT, note):
        worker.leases.beat()
    worker.leases.beat()
    assert worker.aborted == []
    assert lease.valid_until == 1000.0 + DURATION


def test_an_attempt_that_is_just_being_counted_is_not_aborted(
    worker: Worker, database: Database, running: Callable[[], UUID]
) -> None:
    """The row has the next attempt already, and the worker has not heard of it yet."""
    job_id = running()
    lease = worker.hold(job_id)
    with database.transaction() as connection:
        assert db.start_attempt(connection, lease.claim) == 2
    lease.advancing = True
    worker.leases.beat()
    assert worker.aborted == []
    lease.advancing = False
    worker.leases.beat()
    assert worker.aborted == [job_id]


def test_the_same_job_held_anew_meanwhile_is_kept(
    worker: Worker, database: Database, running: Callable[[], UUID]
) -> None:
    """It was lost, rescued, and claimed by this very worker again, all while one beat was under way."""
    job_id = running()
    old = worker.hold(job_id)
    with database.transaction() as connection:
        rows.change(connection, job_id, attempt=2)

    def hold_anew() -> None:
        worker.leases.release(old)
        worker.hold(job_id, attempt=2)

    with after_first(database, HEARTBEAT, hold_anew):
        worker.leases.beat()
    before = lease_of(database, job_id)
    worker.leases.beat()
    assert lease_of(database, job_id) > before
    assert worker.aborted == []


def test_releasing_an_old_lease_leaves_the_new_one(
    worker: Worker, database: Database, running: Callable[[], UUID]
) -> None:
    job_id = running()
    old = worker.hold(job_id)
    worker.hold(job_id)
    worker.leases.release(old)
    cancel(database, job_id)
    worker.leases.beat()
    assert worker.aborted == [job_id]
