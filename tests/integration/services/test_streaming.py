"""A streamed job on its worker: what readers may have seen is kept with the job, and is never taken back."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest

from app.db import jobs as db
from app.db.engine import Database
from app.domain.deltas import Finish, TextDelta
from app.domain.events import unpack
from app.domain.jobs import TIMED_OUT, Usage
from app.domain.lifecycle import Status
from app.services.leases import Lease
from app.settings import Settings
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.doorbell import LocalDoorbell
from tests.integration.services.event_log import MemoryEventLog
from tests.integration.services.outage import outage
from tests.integration.services.stage import kept, words
from tests.integration.services.worker import BUSY, SETTINGS, WRONG, Piece, Script, Worker
from tests.processes import wait_until
from tests.statements import recorded

DEADLINE = 20.0
FINISH = Finish(Usage(1, 2, 3))
Submit = Callable[..., UUID]


class StruckError(BaseException):
    """Stands for a time limit, or a drain, that is thrown in from outside."""


@pytest.fixture
def worker(
    database: Database, dispatcher: RecordingDispatcher, doorbell: LocalDoorbell, event_log: MemoryEventLog
) -> Worker:
    return Worker(database, Script(), dispatcher, SETTINGS, doorbell, event_log)


@pytest.fixture
def submit(database: Database, owner: UUID) -> Submit:
    def put(status: Status = Status.QUEUED, **columns: Any) -> UUID:
        with database.transaction() as connection:
            return rows.put(connection, owner, status, **{"stream": True, **columns})

    return put


def strike() -> None:
    raise StruckError


def interrupted(worker: Worker, job_id: UUID, *pieces: Piece) -> Lease:
    """The lease of a job that was struck after these pieces."""
    lease = worker.claim(job_id)
    worker.script.streams.append([*pieces, strike])
    with pytest.raises(StruckError):
        worker.service.perform(lease)
    return lease


def test_a_streamed_job_is_kept_with_its_answer_and_its_whole_log(
    worker: Worker, submit: Submit, event_log: MemoryEventLog
) -> None:
    job_id = submit()
    worker.script.streams.append([*words("Zwölf\0 ", "\ud800 ", "more"), FINISH])
    with recorded(worker.database) as sent:
        row = worker.perform(job_id)
    assert (row.status, row.streamed, row.usage["total_tokens"]) == ("completed", True, 3)
    assert row.output[0]["content"][0]["text"] == kept(row) == "Zwölf\0 \ud800 more"
    types = [json.loads(event)["type"].removeprefix("response.") for event in unpack(row.events)]
    assert (types[:2], types[-1]) == (["output_item.added", "content_part.added"], "output_item.done")
    [settle] = [statement for statement in sent if "output=" in statement]
    assert "events=" in settle, "in the statement that ends the job"
    assert worker.holds_nothing


def test_what_is_published_is_what_is_kept(worker: Worker, submit: Submit, event_log: MemoryEventLog) -> None:
    job_id = submit()

    def all_published() -> None:
        wait_until(lambda: b'b","logprobs' in b"".join(event_log.logs.get(job_id, [])), DEADLINE, "the last delta")

    worker.script.streams.append([*words("a", "b"), all_published, FINISH])
    whole = unpack(worker.perform(job_id).events)
    assert event_log.logs[job_id] == whole[: len(event_log.logs[job_id])]
    assert event_log.released == [job_id]


def test_the_row_says_so_before_anybody_can_have_read_it(database: Database, worker: Worker, submit: Submit) -> None:
    found: list[bool] = []

    class Looking(MemoryEventLog):
        def append(self, batch: Sequence[tuple[UUID, int, Sequence[bytes]]]) -> dict[UUID, int]:
            found.append(worker.row(batch[0][0]).streamed)
            return super().append(batch)

    looking, job_id = Looking(), submit()
    worker = Worker(database, Script(), RecordingDispatcher(), SETTINGS, LocalDoorbell(), looking)
    wait = lambda: wait_until(lambda: found, DEADLINE, "an append")  # noqa: E731
    worker.script.streams.append([*words("a"), wait, *words("b"), FINISH])
    assert worker.perform(job_id).status == "completed"
    assert set(found) == {True}


def test_readers_are_told_of_the_start_and_of_the_end(worker: Worker, submit: Submit, doorbell: LocalDoorbell) -> None:
    job_id, silent = submit(), submit(stream=False)
    worker.claim(silent)
    assert doorbell.rung == []
    lease = worker.claim(job_id)
    assert doorbell.rung == [job_id]
    worker.script.streams.append([FINISH])
    worker.service.perform(lease)
    assert doorbell.rung == [job_id, job_id]


def test_no_transaction_is_open_while_the_model_speaks(worker: Worker, submit: Submit) -> None:
    in_use: list[int] = []
    note: Piece = lambda: in_use.append(worker.database.in_use)  # noqa: E731
    worker.script.streams.append([note, *words("a"), note, *words("b"), note, FINISH])
    worker.perform(submit())
    assert in_use == [0, 0, 0]


def test_an_error_before_any_output_is_tried_again(worker: Worker, submit: Submit) -> None:
    worker.script.streams += [[BUSY], [BUSY], [*words("at ", "last"), FINISH]]
    row = worker.perform(submit())
    assert (row.status, row.attempt, kept(row)) == ("completed", 3, "at last")
    assert worker.script.closed == 3


def test_an_error_after_output_is_the_end(worker: Worker, submit: Submit) -> None:
    worker.script.streams += [[*words("so ", "far"), BUSY], [FINISH]]
    row = worker.perform(submit())
    assert (row.status, row.error_code, row.attempt) == ("failed", "upstream_unavailable", 1)
    assert (kept(row), len(worker.script.calls)) == ("so far", 1)


def test_an_error_that_cannot_pass_is_the_end_at_once(worker: Worker, submit: Submit) -> None:
    worker.script.streams += [[WRONG], [FINISH]]
    row = worker.perform(submit())
    assert (row.status, row.error_code, row.streamed, row.events) == ("failed", "invalid_prompt", False, None)


def test_a_time_limit_keeps_what_was_said(worker: Worker, submit: Submit, event_log: MemoryEventLog) -> None:
    lease = interrupted(worker, job_id := submit(), *words("so ", "far"))
    worker.service.settle(lease, TIMED_OUT)
    row = worker.row(job_id)
    assert (row.status, row.error_code, kept(row)) == ("failed", "timeout", "so far")
    assert event_log.released == [job_id]
    assert worker.script.closed == 1


def test_a_limit_that_strikes_before_the_first_event_leaves_an_empty_log(worker: Worker, submit: Submit) -> None:
    """The row says already that output may have reached readers."""
    lease = interrupted(worker, job_id := submit())
    with worker.database.transaction() as connection:
        assert db.start_streaming(connection, lease.claim)
    lease.streamed = True
    worker.service.settle(lease, TIMED_OUT)
    assert unpack(worker.row(job_id).events) == []


def test_a_streamed_job_is_not_handed_back(
    worker: Worker, submit: Submit, dispatcher: RecordingDispatcher, doorbell: LocalDoorbell
) -> None:
    lease = interrupted(worker, job_id := submit(), *words("so ", "far"))
    worker.service.hand_back(lease)
    row = worker.row(job_id)
    assert (row.status, row.error_code, kept(row)) == ("failed", "worker_lost", "so far")
    assert (dispatcher.dispatched, doorbell.rung[1:]) == ([], [job_id])
    assert worker.holds_nothing


def test_a_job_that_has_said_nothing_is_handed_back(
    worker: Worker, submit: Submit, dispatcher: RecordingDispatcher
) -> None:
    worker.service.hand_back(interrupted(worker, job_id := submit()))
    assert (worker.row(job_id).status, dispatcher.job_ids) == ("queued", [job_id])
    worker.script.streams.append([*words("again"), FINISH])
    row = worker.perform(job_id)
    assert (row.status, row.attempt, kept(row)) == ("completed", 2, "again")


def test_a_job_is_not_handed_back_if_its_row_knows_more_than_its_worker(
    worker: Worker, submit: Submit, dispatcher: RecordingDispatcher, doorbell: LocalDoorbell
) -> None:
    """The worker was struck while it noted that there is output; the note was committed."""
    lease = interrupted(worker, job_id := submit())
    with worker.database.transaction() as connection:
        assert db.start_streaming(connection, lease.claim)
    worker.service.hand_back(lease)
    assert (worker.row(job_id).error_code, dispatcher.dispatched) == ("worker_lost", [])
    assert doorbell.rung[1:] == [job_id]


def test_a_job_that_is_lost_before_its_first_event_publishes_nothing(
    worker: Worker, submit: Submit, event_log: MemoryEventLog
) -> None:
    job_id = submit()
    worker.script.streams.append([lambda: worker.service.cancel(job_id), *words("a", "b"), FINISH])
    row = worker.perform(job_id)
    assert (row.status, row.streamed, row.events) == ("cancelled", False, None)
    assert (event_log.appended, worker.script.closed, worker.holds_nothing) == ([], 1, True)


def test_the_result_of_a_job_that_was_cancelled_meanwhile_is_dropped(
    worker: Worker, submit: Submit, event_log: MemoryEventLog
) -> None:
    job_id = submit()

    def published() -> None:
        wait_until(lambda: b'a","logprobs' in b"".join(event_log.logs.get(job_id, [])), DEADLINE, "the first delta")

    pieces: list[Piece] = [*words("a"), published, lambda: worker.service.cancel(job_id), *words("b"), FINISH]
    worker.script.streams.append(pieces)
    row = worker.perform(job_id)
    assert (row.status, row.output, kept(row)) == ("cancelled", None, "a")
    assert (event_log.closed, event_log.released) == ({job_id}, [])


def test_the_note_that_there_is_output_waits_for_the_database(
    own_database: Database, dispatcher: RecordingDispatcher, postgres: str
) -> None:
    with own_database.transaction() as connection:
        job_id = rows.put(connection, rows.add_owner(connection), stream=True)
    settings = Settings(lease=60, retry_backoff=0.01)
    worker = Worker(own_database, Script(), dispatcher, settings)
    with outage(postgres, own_database, ends=True) as begin:
        worker.script.streams.append([begin, TextDelta("a"), FINISH])
        row = worker.perform(job_id)
    assert (row.status, kept(row)) == ("completed", "a")
