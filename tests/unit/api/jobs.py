"""One job in each of its states, and what a wrong request is told."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from app.api.validation import validate
from app.domain.errors import InvalidRequestError
from app.domain.jobs import Job
from app.domain.lifecycle import Status
from app.domain.requests import JSON

CANARY = "canary-b3d0"

CREATED_AT = datetime(2025, 3, 9, 2, 15, 42, 999_999, tzinfo=UTC)
OUTPUT: list[JSON] = [
    {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Here", "annotations": [], "logprobs": []}],
    }
]
REASONING: JSON = {"type": "reasoning", "id": "rs_1", "status": "completed", "summary": []}
USAGE = {"input_tokens": 12, "output_tokens": 450, "total_tokens": 462, "cached_tokens": 3, "reasoning_tokens": 7}
QUEUED = Job(
    id=UUID("0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"),
    api_key_id=UUID(int=0xFEED),
    status=Status.QUEUED,
    model="gpt-4.1",
    request={},
    metadata={"k": "v"},
    background=True,
    stream=False,
    store=True,
    attempt=0,
    worker=None,
    created_at=CREATED_AT,
)
RUNNING = replace(
    QUEUED,
    status=Status.IN_PROGRESS,
    attempt=1,
    worker="jobs@secret-host",
    started_at=CREATED_AT + timedelta(seconds=1),
)
ENDED = replace(RUNNING, ended_at=CREATED_AT + timedelta(seconds=8), expires_at=CREATED_AT + timedelta(hours=24))
COMPLETED = replace(ENDED, status=Status.COMPLETED, output=OUTPUT, usage=USAGE)
INCOMPLETE = replace(COMPLETED, incomplete_reason="max_output_tokens")
FAILED = replace(ENDED, status=Status.FAILED, error_code="timeout", error_message="Too slow.")
CANCELLED = replace(ENDED, status=Status.CANCELLED)
CANCELLED_IN_QUEUE = replace(CANCELLED, started_at=None, attempt=0, worker=None)
STATES = {
    "queued": QUEUED,
    "running": RUNNING,
    "completed": COMPLETED,
    "incomplete": INCOMPLETE,
    "failed": FAILED,
    "cancelled": CANCELLED,
    "cancelled in the queue": CANCELLED_IN_QUEUE,
}


def problem(model: type[BaseModel], values: Mapping[str, Any]) -> tuple[str, str | None]:
    """The code and the path that wrong values get; the message is a sentence that repeats none of them."""
    with pytest.raises(InvalidRequestError) as refused:
        validate(model, values)
    error = refused.value
    assert CANARY not in error.message
    assert error.message.endswith(".")
    assert "Value error" not in error.message
    assert "\0" not in error.message + (error.param or "")
    return error.error_code, error.param


def changed(values: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The values with a change; `...` leaves one out."""
    return {name: value for name, value in (values | change).items() if value is not ...}
