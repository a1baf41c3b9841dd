"""Waiting for a job to end: told at once, found out if nobody tells, and never longer than asked."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import event

from app.adapters.doorbell import RedisDoorbell
from app.db import endings
from app.db import jobs as db
from app.db.engine import Database
from app.domain.errors import NotFoundError, UnavailableError
from app.domain.ids import new_id
from app.domain.jobs import Job
from app.domain.lifecycle import TERMINAL, Status
from app.domain.ports import NOTHING, STATE, Doorbell
from app.services import waiting
from app.services.waiting import READERS, WaitService, Watch
from app.settings import Settings
from tests import rows
from tests.databases import migrated
from tests.doorbells import process_doorbell
from tests.integration.services.doorbell import LocalDoorbell
from tests.integration.services.outage import outage
from tests.integration.services.owners import job_service
from tests.processes import free_port, wait_until
from tests.statements import recorded

DEADLINE = 30.0
NOW = 0.0
NEVER = 3600.0
WAITERS = 300


@pytest.fixture(scope="module")
def narrow(postgres: str) -> Iterator[Database]:
    """Five connections."""
    with migrated(postgres, "few_connections", database_pool=5) as made:
        yield made


def service(database: Database, doorbell: Doorbell, interval: float = NEVER) -> WaitService:
    return WaitService(job_service(database, doorbell=doorbell), Watch(database, doorbell, interval))


def put(database: Database, owner: UUID, status: Status = Status.IN_PROGRESS) -> UUID:
    with database.transaction() as connection:
        return rows.put(connection, owner, status)


def end(database: Database, job_id: UUID) -> None:
    """Without telling anybody."""
    with database.transaction() as connection:
        assert endings.cancel(connection, db.jobs.id == job_id, retention=60)


class Waiter(threading.Thread):
    """Waits in a thread; `job` is what it was told."""

    def __init__(self, wait: Callable[[], Job]) -> None:
        super().__init__(daemon=True)
        self._wait = wait
        self.job: Job | None = None
        self.start()

    def run(self) -> None:
        self.job = self._wait()

    def answer(self) -> Job:
        self.join(DEADLINE)
        assert self.job, "nobody told it"
        return self.job


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_job_that_has_ended_is_not_waited_for(
    database: Database, owner: UUID, doorbell: LocalDoorbell, status: Status
) -> None:
    job_id = put(database, owner, status)
    assert service(database, doorbell).until_ended(owner, job_id, NEVER).status is status


@pytest.mark.parametrize("status", [Status.QUEUED, Status.IN_PROGRESS])
@pytest.mark.parametrize("timeout", [NOW, 0.3])
def test_a_job_that_does_not_end_in_time_is_returned_as_it_is(
    database: Database, owner: UUID, doorbell: LocalDoorbell, status: Status, timeout: float
) -> None:
    job_id = put(database, owner, status)
    asked_at = time.monotonic()
    assert service(database, doorbell).until_ended(owner, job_id, timeout).status is status
    assert time.monotonic() - asked_at >= timeout
    assert doorbell.listened() == []


def test_a_job_that_ends_is_returned_as_soon_as_the_doorbell_rings(
    database: Database, owner: UUID, doorbell: LocalDoorbell
) -> None:
    job_id = put(database, owner)
    waiter = Waiter(partial(service(database, doorbell).until_ended, owner, job_id, NEVER))
    wait_until(doorbell.listened, DEADLINE, "a listener")
    doorbell.ring([job_id])
    doorbell.ring_output(job_id)
    end(database, job_id)
    doorbell.ring([job_id])
    assert waiter.answer().status is Status.CANCELLED
    assert doorbell.listened() == []


def test_a_ring_for_output_asks_the_database_nothing(own_database: Database, doorbell: LocalDoorbell) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
    job_id = put(own_database, owner)
    waiter = Waiter(partial(service(own_database, doorbell).until_ended, owner, job_id, 0.5))
    wait_until(doorbell.listened, DEADLINE, "a listener")
    with recorded(own_database) as sent:
        while waiter.is_alive():
            doorbell.ring_output(job_id)
            waiter.join(0.01)
        assert waiter.answer().status is Status.IN_PROGRESS
    assert len(sent) <= 1, "the look at the start may have come late"


def test_what_the_doorbell_lost_is_found_by_asking(database: Database, owner: UUID, doorbell: LocalDoorbell) -> None:
    doorbell.up = False
    job_id = put(database, owner)
    waiter = Waiter(partial(service(database, doorbell, interval=0.05).until_ended, owner, job_id, NEVER))
    wait_until(doorbell.listened, DEADLINE, "a listener")
    end(database, job_id)
    doorbell.ring([job_id])
    assert waiter.answer().status is Status.CANCELLED


def test_a_look_rings_for_what_changed_and_for_nothing_else(
    database: Database, owner: UUID, doorbell: LocalDoorbell
) -> None:
    watch = Watch(database, doorbell, NEVER)
    waits, runs, ends = put(database, owner, Status.QUEUED), put(database, owner), put(database, owner)
    with doorbell.listen(waits) as queued, doorbell.listen(runs) as running, doorbell.listen(ends) as ending:
        bells = queued, running, ending
        watch.look()
        # One that is seen for the first time, and is not queued, may have changed before.
        assert [bell.wait(NOW) for bell in bells] == [NOTHING, STATE, STATE]
        watch.look()
        assert [bell.wait(NOW) for bell in bells] == [NOTHING, NOTHING, NOTHING]
        end(database, ends)
        watch.look()
        assert [bell.wait(NOW) for bell in bells] == [NOTHING, NOTHING, STATE]
        with database.transaction() as connection:
            assert endings.delete_ended(connection, ends, owner)
        watch.look()
        assert [bell.wait(NOW) for bell in bells] == [NOTHING, NOTHING, STATE]


def test_all_jobs_are_asked_for_in_one_statement(
    own_database: Database, doorbell: LocalDoorbell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "BATCH", 10)
    watch = Watch(own_database, doorbell, NEVER)
    listeners = [doorbell.listen(new_id()) for _ in range(20)]
    for listener in listeners:
        listener.__enter__()
    with recorded(own_database) as sent:
        watch.look()
    assert len(sent) == 2
    for listener in listeners:
        listener.__exit__(None, None, None)
    with recorded(own_database) as sent:
        watch.look()
    assert sent == []


def test_the_watch_outlives_an_outage_of_the_database(
    own_database: Database, doorbell: LocalDoorbell, postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    with own_database.transaction() as connection:
        job_id = rows.put(connection, rows.add_owner(connection))
    watch = Watch(own_database, doorbell, interval=0.02)
    with watch.listen(job_id) as bell, outage(postgres, own_database, ends=True) as begin:
        begin()
        wait_until(lambda: "told later" in caplog.text, DEADLINE, "the outage is noticed")
        wait_until(lambda: _ended(own_database, job_id), DEADLINE, "the database is back")
        assert bell.wait(DEADLINE) == STATE


def _ended(database: Database, job_id: UUID) -> bool:
    try:
        end(database, job_id)
    except UnavailableError:
        return False
    return True


def test_hundreds_that_wait_for_one_database_connection_each_are_all_told(narrow: Database, broker_url: str) -> None:
    """All of their jobs end at the same moment."""
    with narrow.transaction() as connection:
        owner = rows.add_owner(connection)
        job_ids = [rows.put(connection, owner, Status.IN_PROGRESS) for _ in range(WAITERS)]
    with process_doorbell(broker_url) as doorbell, process_doorbell(broker_url) as ringing:
        _check_all_told(narrow, owner, job_ids, doorbell, ringing)


def _check_all_told(
    narrow: Database, owner: UUID, job_ids: list[UUID], doorbell: RedisDoorbell, ringing: RedisDoorbell
) -> None:
    wait = service(narrow, doorbell)
    waiters = [Waiter(partial(wait.until_ended, owner, job_id, NEVER)) for job_id in job_ids]
    wait_until(lambda: len(doorbell.listened()) == WAITERS, DEADLINE, "all of them wait")
    with narrow.transaction() as connection:
        for job_id in job_ids:
            assert endings.cancel(connection, db.jobs.id == job_id, retention=60)
    most: list[int] = []
    event.listen(narrow.engine, "before_cursor_execute", lambda *_: most.append(narrow.in_use))
    ringing.ring(job_ids)
    assert [waiter.answer().id for waiter in waiters] == job_ids
    assert {waiter.answer().status for waiter in waiters} == {Status.CANCELLED}
    assert max(most) <= READERS, "the others are for requests that come in"
    assert doorbell.listened() == []


def test_an_outage_in_the_middle_is_waited_out(
    own_database: Database, doorbell: LocalDoorbell, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "OUTAGE_PAUSE", 0.02)
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
    job_id = put(own_database, owner)
    with recorded(own_database) as sent:
        waiter = Waiter(partial(service(own_database, doorbell).until_ended, owner, job_id, NEVER))
        wait_until(lambda: sent and not own_database.in_use, DEADLINE, "the first look")
    with outage(postgres, own_database, ends=True) as begin:
        begin()
        doorbell.ring([job_id])
        wait_until(lambda: _ended(own_database, job_id), DEADLINE, "the database is back")
        doorbell.ring([job_id])
        assert waiter.answer().status is Status.CANCELLED


def test_who_comes_during_an_outage_is_told_at_once(doorbell: LocalDoorbell) -> None:
    down = Database(Settings(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none"))
    with pytest.raises(UnavailableError):
        service(down, doorbell).until_ended(new_id(), new_id(), NEVER)
    assert doorbell.listened() == []


def test_many_may_wait_for_one_job(database: Database, owner: UUID, doorbell: LocalDoorbell) -> None:
    job_id = put(database, owner)
    wait = service(database, doorbell)
    waiters = [Waiter(partial(wait.until_ended, owner, job_id, NEVER)) for _ in range(50)]
    wait_until(lambda: len(doorbell._bells) == 50, DEADLINE, "all of them wait")
    end(database, job_id)
    doorbell.ring([job_id])
    assert {waiter.answer().status for waiter in waiters} == {Status.CANCELLED}


def test_a_job_that_is_not_ones_own_is_not_there(database: Database, owner: UUID, doorbell: LocalDoorbell) -> None:
    with database.transaction() as connection:
        foreign = rows.put(connection, rows.add_owner(connection))
    for job_id in (foreign, new_id()):
        with pytest.raises(NotFoundError):
            service(database, doorbell).until_ended(owner, job_id, NEVER)


def test_a_job_that_is_deleted_meanwhile_is_not_there(database: Database, owner: UUID, doorbell: LocalDoorbell) -> None:
    job_id = put(database, owner)
    told: list[Exception] = []

    def wait() -> None:
        try:
            service(database, doorbell).until_ended(owner, job_id, NEVER)
        except NotFoundError as error:
            told.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    wait_until(doorbell.listened, DEADLINE, "a listener")
    end(database, job_id)
    with database.transaction() as connection:
        assert endings.delete_ended(connection, job_id, owner)
    doorbell.ring([job_id])
    waiter.join(DEADLINE)
    assert len(told) == 1
