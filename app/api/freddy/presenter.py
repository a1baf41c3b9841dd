"""A job as the Freddy dialect shows it. Times are Unix seconds."""

from app.api.snapshots import as_it_was, seconds
from app.domain.ids import public_id
from app.domain.jobs import Failure, Job
from app.domain.lifecycle import Status
from app.domain.requests import JSON

_COUNTS = ("input_tokens", "output_tokens", "total_tokens")
# What the official SDKs parse beside the contract's keys.
_ECHOED = ("instructions", "max_output_tokens", "parallel_tool_calls", "previous_response_id", "reasoning")


def present(job: Job, *, stage: int | None = None) -> JSON:
    """The response object: the contract's keys, those the official SDKs parse, and the extras of `docs/api.md`.

    `stage`: as it was then, made of what never changes.
    """
    shown = job if stage is None else as_it_was(job, stage)
    now = {"attempts": job.attempt} if stage is None else {}
    waiting = {} if shown.position is None else {"queue_position": shown.position}
    return {
        "id": public_id(shown.id),
        "object": "response",
        "status": shown.status.value,
        "created_at": seconds(shown.created_at),
        "model": shown.model,
        "output": _output(shown),
        "metadata": shown.metadata,
        **{name: shown.request[name] for name in _ECHOED if name in shown.request},
        **now,
        **waiting,
        **_when_started(shown),
        **_when_ended(shown),
    }


def present_deleted(job_id: str) -> JSON:
    """The answer to DELETE on a response that had ended."""
    return {"id": job_id, "object": "response", "deleted": True}


def _output(job: Job) -> list[JSON]:
    """The contract's messages and function calls: more the official SDK refuses to read, unless it asked for more.

    A stream has told of all its items by their place in the output, which they keep.
    """
    if job.stream or "reasoning" in job.request:
        return job.output or []
    return [item for item in job.output or () if item.get("type") != "reasoning"]


def _when_started(job: Job) -> JSON:
    return {"started_at": seconds(job.started_at)} if job.started_at else {}


def _when_ended(job: Job) -> JSON:
    if job.ended_at is None or job.expires_at is None:
        return {}
    shown: JSON = {"expires_at": seconds(job.expires_at)}
    if job.status is Status.COMPLETED:
        shown |= {"completed_at": seconds(job.ended_at), "usage": _usage(job)}
        if job.incomplete_reason:
            shown["incomplete_details"] = {"reason": job.incomplete_reason}
    elif job.status is Status.FAILED:
        shown |= {"failed_at": seconds(job.ended_at), "error": _error(job)}
    else:
        shown["cancelled_at"] = seconds(job.ended_at)
    return shown


def _usage(job: Job) -> JSON | None:
    """The contract's three counts; None if the model server did not count."""
    return {name: job.usage[name] for name in _COUNTS} if job.usage else None


def _error(job: Job) -> JSON:
    failure = Failure(job.error_code or Failure.SERVER_ERROR)
    return {"code": failure.value, "message": job.error_message, "retryable": failure.retryable}
