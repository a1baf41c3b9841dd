"""A worker's side of a job's life, with a model server that does as it is told."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from app.db import endings
from app.db import jobs as db
from app.db.engine import Database
from app.domain.jobs import Dispatch, Failure, Usage
from app.domain.lifecycle import Status
from app.domain.ports import UpstreamError
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.worker import ANSWER, BUSY, WRONG, Script, Worker
from tests.statements import after_first


@pytest.fixture
def worker(database: Database, dispatcher: RecordingDispatcher) -> Worker:
    return Worker(database, Script(), dispatcher)


@pytest.fixture
def queued(database: Database, owner: UUID) -> Callable[..., UUID]:
    def put(**columns: Any) -> UUID:
        with database.transaction() as connection:
            return rows.put(connection, owner, **columns)

    return put


def test_a_job_is_completed_with_output_and_usage(worker: Worker, queued: Callable[..., UUID]) -> None:
    worker.script.answers = [ANSWER]
    job_id = queued()
    row = worker.perform(job_id)
    assert (row.status, row.attempt, row.worker) == ("completed", 1, "jobs@test")
    assert (row.output, row.incomplete_reason) == (ANSWER.output, "max_output_tokens")
    assert row.usage == Usage(3, 4, 7).to_json()
    assert (row.expires_at - row.ended_at).total_seconds() == 3600
    assert worker.script.calls == [("real-gpt-4.1", job_id, rows.LIMITS.time_limit)]
    assert worker.holds_nothing


def test_a_job_is_claimed_once(worker: Worker, queued: Callable[..., UUID]) -> None:
    job_id = queued()
    worker.claim(job_id)
    assert worker.service.claim(job_id, worker="jobs@other", abort=lambda: None) is None


def test_no_transaction_is_open_while_the_model_is_called(worker: Worker, queued: Callable[..., UUID]) -> None:
    in_use: list[int] = []
    worker.script.answers = [lambda: in_use.append(worker.database.in_use), ANSWER]
    worker.perform(queued())
    assert in_use == [0]


def test_a_passing_failure_is_tried_again_and_each_try_counted_before_it_is_made(
    worker: Worker, queued: Callable[..., UUID]
) -> None:
    job_id, counted = queued(), []
    worker.script.answers = [
        BUSY,
        lambda: counted.append(worker.row(job_id).attempt),
        BUSY,
        lambda: counted.append(worker.row(job_id).attempt),
        ANSWER,
    ]
    row = worker.perform(job_id)
    assert (row.status, row.attempt) == ("completed", 3)
    assert counted == [2, 3]


def test_what_cannot_succeed_is_not_tried_again(worker: Worker, queued: Callable[..., UUID]) -> None:
    worker.script.answers = [WRONG, ANSWER]
    row = worker.perform(queued())
    assert (row.status, row.error_code, row.error_message) == ("failed", "invalid_prompt", "Refused.")
    assert len(worker.script.calls) == row.attempt == 1
    assert worker.holds_nothing


def test_the_last_attempt_is_the_last(worker: Worker, queued: Callable[..., UUID]) -> None:
    worker.script.answers = [BUSY, BUSY, ANSWER]
    row = worker.perform(queued(max_attempts=2))
    assert (row.status, row.error_code, row.attempt) == ("failed", "upstream_unavailable", 2)
    assert len(worker.script.calls) == 2


def test_attempts_of_earlier_workers_count(worker: Worker, queued: Callable[..., UUID]) -> None:
    worker.script.answers = [BUSY, ANSWER]
    row = worker.perform(queued(max_attempts=2, attempt=1))
    assert (row.status, row.attempt) == ("failed", 2)
    assert len(worker.script.calls) == 1


def test_the_server_is_left_alone_for_as_long_as_it_asked(worker: Worker, queued: Callable[..., UUID]) -> None:
    later = UpstreamError(Failure.UPSTREAM_RATE_LIMITED, "Later.", retryable=True, retry_after=0.4)
    worker.script.answers = [later, ANSWER]
    assert worker.perform(queued()).status == "completed"
    assert worker.script.times[1] - worker.script.times[0] >= 0.4


def test_a_wait_beyond_the_time_limit_is_not_begun(worker: Worker, queued: Callable[..., UUID]) -> None:
    much_later = UpstreamError(Failure.UPSTREAM_RATE_LIMITED, "Later.", retryable=True, retry_after=50)
    worker.script.answers = [much_later, ANSWER]
    row = worker.perform(queued())
    assert (row.status, row.error_code, row.attempt) == ("failed", "upstream_rate_limited", 1)


def test_a_model_that_is_served_no_more_fails_the_job(worker: Worker, queued: Callable[..., UUID]) -> None:
    row = worker.perform(queued(model="gone"))
    assert (row.status, row.error_code) == ("failed", "upstream_error")


def test_a_job_cancelled_during_the_pause_is_not_sent_again(worker: Worker, queued: Callable[..., UUID]) -> None:
    job_id = queued()
    worker.script.answers = [lambda: worker.service.cancel(job_id), BUSY, ANSWER]
    assert worker.perform(job_id).status == "cancelled"
    assert len(worker.script.calls) == 1
    assert worker.holds_nothing


def test_a_job_rescued_during_the_pause_is_left_to_its_new_worker(worker: Worker, queued: Callable[..., UUID]) -> None:
    job_id = queued()
    worker.script.answers = [lambda: _rescue_and_claim(worker.database, job_id), BUSY, ANSWER]
    row = worker.perform(job_id)
    assert (row.status, row.attempt, row.worker) == ("in_progress", 2, "jobs@heir")
    assert len(worker.script.calls) == 1


def test_the_result_of_a_lost_job_is_dropped(worker: Worker, queued: Callable[..., UUID]) -> None:
    job_id = queued()
    worker.script.answers = [lambda: _rescue_and_claim(worker.database, job_id), ANSWER]
    row = worker.perform(job_id)
    assert (row.status, row.attempt, row.output) == ("in_progress", 2, None)
    assert worker.holds_nothing


def _rescue_and_claim(database: Database, job_id: UUID) -> None:
    with database.transaction() as connection:
        _, messages = endings.take_back(connection, db.jobs.id == job_id, retention=60, redispatch_after=60)
        assert messages
        assert db.claim(connection, job_id, worker="jobs@heir", lease=60)


def test_a_job_handed_back_is_published_at_once(
    worker: Worker, dispatcher: RecordingDispatcher, queued: Callable[..., UUID]
) -> None:
    job_id = queued()
    worker.service.hand_back(worker.claim(job_id))
    row = worker.row(job_id)
    assert (row.status, row.attempt, row.worker) == ("queued", 1, None)
    assert dispatcher.dispatched == [Dispatch(job_id, "default", rows.LIMITS)]
    assert worker.holds_nothing


def test_a_job_handed_back_in_its_last_attempt_has_failed(
    worker: Worker, dispatcher: RecordingDispatcher, queued: Callable[..., UUID]
) -> None:
    job_id = queued(max_attempts=1)
    worker.service.hand_back(worker.claim(job_id))
    row = worker.row(job_id)
    assert (row.status, row.error_code) == ("failed", "worker_lost")
    assert dispatcher.dispatched == []


def test_an_administrators_cancel_ends_an_active_job_only(worker: Worker, queued: Callable[..., UUID]) -> None:
    job_id = queued()
    worker.script.answers = [ANSWER]
    worker.perform(job_id)
    worker.service.cancel(job_id)
    assert worker.row(job_id).status == Status.COMPLETED
    other = queued()
    worker.service.cancel(other)
    assert worker.row(other).status == Status.CANCELLED


def test_a_settle_whose_connection_breaks_is_done_again(worker: Worker, queued: Callable[..., UUID]) -> None:
    worker.script.answers = [ANSWER]
    lease = worker.claim(job_id := queued())
    with after_first(worker.database, "UPDATE jobs", lambda: _terminate_others(worker.database)):
        worker.service.perform(lease)
    assert worker.row(job_id).status == "completed"


def _terminate_others(database: Database) -> None:
    """End every other session of the database, also the one whose statement has just come back."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
