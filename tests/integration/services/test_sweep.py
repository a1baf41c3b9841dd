"""The sweep: every job that nobody else moves any more moves on, once, however often it runs."""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.db.engine import Database
from app.db.jobs import MAX_REDISPATCH_INTERVAL
from app.domain.jobs import Dispatch
from app.domain.lifecycle import Status
from app.services.maintenance import MaintenanceService, SweepReport
from app.settings import Settings
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.doorbell import LocalDoorbell
from tests.integration.services.event_log import MemoryEventLog

SETTINGS = Settings(redispatch_after=10, redispatch_limit=150, retention=3600)
NOTHING = SweepReport()


@dataclass
class World:
    """A database of its own, and the sweep over it."""

    database: Database
    dispatcher: RecordingDispatcher
    owner: UUID
    doorbell: LocalDoorbell
    event_log: MemoryEventLog

    def sweep(self) -> SweepReport:
        parts = self.dispatcher, self.doorbell, self.event_log
        return MaintenanceService(self.database, *parts, SETTINGS).sweep()

    def put(self, status: Status = Status.QUEUED, **columns: Any) -> UUID:
        with self.database.transaction() as connection:
            return rows.put(connection, self.owner, status, **columns)

    def change(self, job_id: UUID, **columns: Any) -> None:
        with self.database.transaction() as connection:
            rows.change(connection, job_id, **columns)

    def row(self, job_id: UUID) -> Any:
        with self.database.transaction() as connection:
            return rows.row(connection, job_id)


@pytest.fixture
def world(
    own_database: Database, dispatcher: RecordingDispatcher, doorbell: LocalDoorbell, event_log: MemoryEventLog
) -> World:
    with own_database.transaction() as connection:
        return World(own_database, dispatcher, rows.add_owner(connection), doorbell, event_log)


def test_what_is_not_due_is_left_alone(world: World) -> None:
    job_ids = [world.put(status) for status in Status]
    with world.database.transaction() as connection:
        before = [rows.image(connection, job_id) for job_id in job_ids]
    assert world.sweep() == NOTHING
    with world.database.transaction() as connection:
        assert [rows.image(connection, job_id) for job_id in job_ids] == before
    assert world.dispatcher.dispatched == []


def test_the_job_of_a_lost_worker_is_queued_and_published_again(world: World) -> None:
    job_id = world.put(Status.IN_PROGRESS, lease_expires_at=rows.EARLIER, dispatches=5)
    assert world.sweep() == SweepReport(rescued=1)
    row = world.row(job_id)
    assert (row.status, row.attempt, row.worker, row.dispatches) == ("queued", 1, None, 0)
    assert world.dispatcher.dispatched == [Dispatch(job_id, "default", rows.LIMITS)]
    assert world.sweep() == NOTHING
    assert len(world.dispatcher.dispatched) == 1


def test_a_job_that_lost_its_last_worker_has_failed(world: World) -> None:
    job_id = world.put(Status.IN_PROGRESS, lease_expires_at=rows.EARLIER, attempt=4)
    assert world.sweep() == SweepReport(rescued=1)
    row = world.row(job_id)
    assert (row.status, row.error_code, row.attempt) == ("failed", "worker_lost", 4)
    assert (row.expires_at - row.ended_at).total_seconds() == 3600
    assert world.sweep() == NOTHING
    assert world.dispatcher.dispatched == []


def test_a_rescued_job_whose_message_the_broker_refused_has_its_next_turn(world: World) -> None:
    job_id = world.put(Status.IN_PROGRESS, lease_expires_at=rows.EARLIER)
    world.dispatcher.up = False
    assert world.sweep() == SweepReport(rescued=1)
    world.dispatcher.up = True
    world.change(job_id, redispatch_at=rows.EARLIER)
    assert world.sweep() == SweepReport(redispatched=1)
    assert world.dispatcher.job_ids == [job_id]


def test_a_job_beyond_its_hard_limit_has_timed_out_even_if_its_worker_lives(world: World) -> None:
    job_id = world.put(Status.IN_PROGRESS, run_deadline_at=rows.EARLIER)
    assert world.sweep() == SweepReport(overdue=1)
    row = world.row(job_id)
    assert (row.status, row.error_code) == ("failed", "timeout")
    assert world.sweep() == NOTHING


def test_an_overdue_job_of_a_lost_worker_is_not_run_again(world: World) -> None:
    job_id = world.put(Status.IN_PROGRESS, run_deadline_at=rows.EARLIER, lease_expires_at=rows.EARLIER)
    assert world.sweep() == SweepReport(overdue=1)
    assert world.row(job_id).error_code == "timeout"
    assert world.dispatcher.dispatched == []


def test_a_job_that_nobody_started_in_time_has_failed(world: World) -> None:
    job_id = world.put(queue_expires_at=rows.EARLIER, redispatch_at=rows.EARLIER)
    assert world.sweep() == SweepReport(expired=1)
    row = world.row(job_id)
    assert (row.status, row.error_code, row.attempt) == ("failed", "queue_timeout", 0)
    assert (row.expires_at - row.ended_at).total_seconds() == 3600
    assert world.sweep() == NOTHING
    assert world.dispatcher.dispatched == []


def test_a_lost_message_is_sent_again_after_twice_the_time_each_time(world: World) -> None:
    job_id = world.put(redispatch_at=rows.EARLIER)
    intervals = []
    for turn in range(1, 9):
        assert world.sweep() == SweepReport(redispatched=1)
        assert world.sweep() == NOTHING
        row = world.row(job_id)
        assert (row.status, row.dispatches) == ("queued", turn)
        intervals.append(_seconds_until_redispatch(world, job_id))
        world.change(job_id, redispatch_at=rows.EARLIER)
    assert intervals == pytest.approx([20, 40, 80, 160, 320, *[MAX_REDISPATCH_INTERVAL] * 3], abs=5)
    assert world.dispatcher.job_ids == [job_id] * 8


def test_the_interval_stays_bounded_for_a_job_that_waits_for_ever(world: World) -> None:
    job_id = world.put(redispatch_at=rows.EARLIER, dispatches=2_000_000)
    assert world.sweep() == SweepReport(redispatched=1)
    assert _seconds_until_redispatch(world, job_id) == pytest.approx(MAX_REDISPATCH_INTERVAL, abs=5)


def _seconds_until_redispatch(world: World, job_id: UUID) -> float:
    with world.database.transaction() as connection:
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
        return float((rows.row(connection, job_id).redispatch_at - now).total_seconds())


def test_the_longest_waiting_are_sent_first_and_the_backlog_never_exceeds_its_limit(world: World) -> None:
    with world.database.transaction() as connection:
        job_ids = [
            rows.put(connection, world.owner, redispatch_at=text(f"now() - interval '{300 - number} s'"))
            for number in range(200)
        ]
    world.dispatcher.waiting = 20
    assert world.sweep() == SweepReport(redispatched=130)
    assert world.dispatcher.waiting == SETTINGS.redispatch_limit
    assert set(world.dispatcher.job_ids) == set(job_ids[:130])
    assert world.sweep() == NOTHING
    world.dispatcher.waiting = 0
    assert world.sweep() == SweepReport(redispatched=70)
    assert sorted(world.dispatcher.job_ids) == sorted(job_ids)


def test_nothing_is_sent_into_a_full_queue(world: World) -> None:
    job_id = world.put(redispatch_at=rows.EARLIER)
    world.dispatcher.waiting = SETTINGS.redispatch_limit
    assert world.sweep() == NOTHING
    assert world.row(job_id).dispatches == 0


def test_without_a_broker_no_turn_is_spent_and_all_else_goes_on(world: World) -> None:
    waiting, overdue = (
        world.put(redispatch_at=rows.EARLIER),
        world.put(Status.IN_PROGRESS, run_deadline_at=rows.EARLIER),
    )
    world.dispatcher.up = False
    assert world.sweep() == SweepReport(overdue=1)
    assert world.row(waiting).dispatches == 0
    assert world.row(overdue).error_code == "timeout"
    world.dispatcher.up = True
    assert world.sweep() == SweepReport(redispatched=1)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.IN_PROGRESS])
def test_more_than_a_batch_is_swept_at_once(world: World, status: Status) -> None:
    due = {"queue_expires_at": rows.EARLIER} if status is Status.QUEUED else {"run_deadline_at": rows.EARLIER}
    with world.database.transaction() as connection:
        for _ in range(1_100):
            rows.put(connection, world.owner, status, **due)
    report = world.sweep()
    assert report.expired + report.overdue == 1_100
    assert world.sweep() == NOTHING


def test_a_job_is_published_after_its_commit(world: World) -> None:
    """A worker that gets the id before would find the job still running, and drop the message."""
    job_id = world.put(Status.IN_PROGRESS, lease_expires_at=rows.EARLIER)
    seen: list[str] = []

    class Looking(RecordingDispatcher):
        def dispatch(self, message: Dispatch) -> bool:
            seen.append(world.row(message.job_id).status)
            return True

    world.dispatcher = Looking()
    world.sweep()
    assert (seen, world.row(job_id).status) == (["queued"], "queued")


def test_every_job_that_it_moves_has_a_line_with_its_id(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    moved = {
        world.put(Status.IN_PROGRESS, lease_expires_at=rows.EARLIER): "job queued again, its worker was lost",
        world.put(Status.IN_PROGRESS, lease_expires_at=rows.EARLIER, attempt=4): "job failed: its worker was lost",
        world.put(Status.IN_PROGRESS, run_deadline_at=rows.EARLIER): "job failed: it ran out of its time limit",
        world.put(queue_expires_at=rows.EARLIER): "job failed: it was not started in time",
    }
    world.sweep()
    lines = {fields["job_id"]: line.getMessage() for line in caplog.records if "job_id" in (fields := _fields(line))}
    assert lines.keys() == moved.keys()
    assert [job_id for job_id, start in moved.items() if not lines[job_id].startswith(start)] == []


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return getattr(record, "fields", {})
