"""The response object: each status shows exactly its keys."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.api.freddy.presenter import present, present_deleted
from app.domain.jobs import Failure, Job
from app.domain.lifecycle import Status

CREATED = datetime(2025, 3, 9, 2, 15, 42, 999_999, tzinfo=UTC)
OUTPUT = [{"type": "message", "content": [{"type": "output_text", "text": "Here"}]}]
USAGE = {"input_tokens": 12, "output_tokens": 450, "total_tokens": 462}
QUEUED = Job(
    id=UUID("0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"),
    api_key_id=UUID(int=1),
    status=Status.QUEUED,
    model="gpt-4.1",
    metadata={"k": "v"},
    attempt=0,
    worker=None,
    created_at=CREATED,
)
RUNNING = replace(
    QUEUED,
    status=Status.IN_PROGRESS,
    attempt=1,
    worker="jobs@secret-host",
    started_at=CREATED + timedelta(seconds=1),
)
ENDED = replace(RUNNING, ended_at=CREATED + timedelta(seconds=8), expires_at=CREATED + timedelta(hours=24))
COMPLETED = replace(ENDED, status=Status.COMPLETED, output=OUTPUT, usage=USAGE)
FAILED = replace(ENDED, status=Status.FAILED, error_code="timeout", error_message="Too slow.")
CANCELLED = replace(ENDED, status=Status.CANCELLED)

BASE = {
    "id": "resp_0195a1b2c3d47e5f8a9b0c1d2e3f4a5b",
    "object": "response",
    "created_at": 1_741_486_542,
    "model": "gpt-4.1",
    "output": [],
    "metadata": {"k": "v"},
}
STARTED = BASE | {"attempts": 1, "started_at": 1_741_486_543}
EXPIRES = {"expires_at": 1_741_572_942}
AT = 1_741_486_550


@pytest.mark.parametrize(
    ("job", "shown"),
    [
        (QUEUED, BASE | {"status": "queued", "attempts": 0}),
        (RUNNING, STARTED | {"status": "in_progress"}),
        (
            COMPLETED,
            STARTED | EXPIRES | {"status": "completed", "completed_at": AT, "output": OUTPUT, "usage": USAGE},
        ),
        (
            FAILED,
            STARTED
            | EXPIRES
            | {
                "status": "failed",
                "failed_at": AT,
                "error": {"code": "timeout", "message": "Too slow.", "retryable": True},
            },
        ),
        (CANCELLED, STARTED | EXPIRES | {"status": "cancelled", "cancelled_at": AT}),
    ],
    ids=lambda value: value.status if isinstance(value, Job) else "",
)
def test_each_status_shows_exactly_its_keys(job: Job, shown: dict[str, Any]) -> None:
    assert present(job) == shown


def test_a_requeued_job_tells_that_it_was_started_before() -> None:
    job = replace(RUNNING, status=Status.QUEUED, worker=None)
    assert present(job) == STARTED | {"status": "queued"}


def test_a_job_that_ended_in_the_queue_was_never_started() -> None:
    shown = present(replace(CANCELLED, started_at=None, attempt=0))
    assert "started_at" not in shown
    assert shown["attempts"] == 0


def test_unknown_usage_is_null() -> None:
    assert present(replace(COMPLETED, usage=None))["usage"] is None


def test_a_result_that_was_cut_off_says_why() -> None:
    shown = present(replace(COMPLETED, incomplete_reason="max_output_tokens"))
    assert shown["status"] == "completed"
    assert shown["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_says_whether_to_try_again(failure: Failure) -> None:
    error = present(replace(FAILED, error_code=failure.value))["error"]
    assert error == {"code": failure.value, "message": "Too slow.", "retryable": failure.retryable}


def test_neither_the_worker_nor_the_key_is_shown() -> None:
    for job in (QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED):
        assert "secret-host" not in str(present(job))
        assert str(job.api_key_id.hex) not in str(present(job))


def test_a_deleted_response() -> None:
    assert present_deleted("resp_1") == {"id": "resp_1", "object": "response", "deleted": True}
