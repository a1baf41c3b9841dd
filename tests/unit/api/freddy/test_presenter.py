"""The response object of the Freddy dialect: each state shows exactly its keys."""

import json
from dataclasses import replace
from typing import Any

import pytest
from freddy.models import ModelResponse  # type: ignore[import-untyped]  # it comes without types

from app.api.freddy.presenter import present, present_deleted
from app.domain.events import CREATED, IN_PROGRESS, QUEUED
from app.domain.jobs import Failure
from tests.unit.api import jobs

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
# The contract's three counts, and no more.
USAGE = {"input_tokens": 12, "output_tokens": 450, "total_tokens": 462}
COMPLETED = STARTED | EXPIRES | {"completed_at": AT, "output": jobs.OUTPUT, "usage": USAGE, "status": "completed"}
ERROR = {"code": "timeout", "message": "Too slow.", "retryable": True}
SHOWN = {
    "queued": BASE | {"status": "queued", "attempts": 0},
    "running": STARTED | {"status": "in_progress"},
    "completed": COMPLETED,
    "incomplete": COMPLETED | {"incomplete_details": {"reason": "max_output_tokens"}},
    "failed": STARTED | EXPIRES | {"status": "failed", "failed_at": AT, "error": ERROR},
    "cancelled": STARTED | EXPIRES | {"status": "cancelled", "cancelled_at": AT},
    "cancelled in the queue": BASE | EXPIRES | {"status": "cancelled", "cancelled_at": AT, "attempts": 0},
}
ECHOED: dict[str, Any] = {
    "instructions": "be brief",
    "max_output_tokens": 5,
    "parallel_tool_calls": False,
    "previous_response_id": "resp_1",
    "reasoning": {"effort": "high"},
}


@pytest.mark.parametrize("state", jobs.STATES)
def test_each_state_shows_exactly_its_keys(state: str) -> None:
    assert present(jobs.STATES[state]) == SHOWN[state]


def test_a_requeued_job_tells_that_it_was_started_before() -> None:
    job = replace(jobs.RUNNING, status=jobs.QUEUED.status, worker=None)
    assert present(job) == STARTED | {"status": "queued"}


def test_unknown_usage_is_null() -> None:
    assert present(replace(jobs.COMPLETED, usage=None))["usage"] is None


def test_what_the_official_sdk_reads_of_the_request_is_shown() -> None:
    job = replace(jobs.QUEUED, request=ECHOED | {"temperature": 1, "tools": [{"type": "function", "name": "f"}]})
    assert present(job) == SHOWN["queued"] | ECHOED


@pytest.mark.parametrize("state", ["queued", "running", "completed", "incomplete", "cancelled"])
@pytest.mark.parametrize("request_", [{}, ECHOED], ids=["defaults", "everything"])
def test_the_official_sdk_reads_it(state: str, request_: dict[str, Any]) -> None:
    shown = present(replace(jobs.STATES[state], request=request_, position=1))
    read = ModelResponse(**json.loads(json.dumps(shown)))
    assert (read.id, read.status, read.created_at) == (shown["id"], shown["status"], shown["created_at"])
    assert [message.content[0].text for message in read.output] == ["Here"] * len(shown["output"])
    assert read.reasoning == request_.get("reasoning")
    assert read.incomplete_details == shown.get("incomplete_details")


def test_reasoning_that_nobody_asked_for_is_left_out() -> None:
    """The official SDK reads messages alone."""
    thinking = replace(jobs.COMPLETED, output=[jobs.REASONING, *jobs.OUTPUT])
    assert ModelResponse(**present(thinking)).output[0].role == "assistant"
    assert present(thinking)["output"] == jobs.OUTPUT
    assert present(replace(thinking, request={"reasoning": {}}))["output"] == [jobs.REASONING, *jobs.OUTPUT]
    # The events of a stream name their items by their places.
    assert present(replace(thinking, stream=True))["output"] == [jobs.REASONING, *jobs.OUTPUT]


@pytest.mark.parametrize(("stage", "status"), [(CREATED, "queued"), (QUEUED, "queued"), (IN_PROGRESS, "in_progress")])
def test_a_stage_is_shown_the_same_whatever_became_of_the_job(stage: int, status: str) -> None:
    later = [jobs.RUNNING, replace(jobs.RUNNING, attempt=3), *(jobs.STATES[state] for state in ("completed", "failed"))]
    shown = {json.dumps(present(replace(job, request=ECHOED), stage=stage)) for job in later}
    assert len(shown) == 1
    started = {"started_at": STARTED["started_at"]} if stage == IN_PROGRESS else {}
    assert json.loads(shown.pop()) == BASE | ECHOED | started | {"status": status}


def test_a_place_in_the_queue_is_shown_if_it_is_known() -> None:
    assert present(replace(jobs.QUEUED, position=3)) == SHOWN["queued"] | {"queue_position": 3}


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_says_whether_to_try_again(failure: Failure) -> None:
    error = present(replace(jobs.FAILED, error_code=failure.value))["error"]
    assert error == {"code": failure.value, "message": "Too slow.", "retryable": failure.retryable}


def test_neither_the_worker_nor_the_key_is_shown() -> None:
    for job in jobs.STATES.values():
        assert "secret-host" not in str(present(job))
        assert job.api_key_id.hex not in str(present(job))


def test_a_deleted_response() -> None:
    assert present_deleted("resp_1") == {"id": "resp_1", "object": "response", "deleted": True}
