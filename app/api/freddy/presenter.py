"""A job as the Freddy dialect shows it. Times are Unix seconds."""

from datetime import datetime

from app.domain.ids import public_id
from app.domain.jobs import JSON, Failure, Job
from app.domain.lifecycle import Status


def present(job: Job) -> JSON:
    """The response object: the contract's keys, those the official SDKs parse, and the extras of `docs/api.md`."""
    return {
        "id": public_id(job.id),
        "object": "response",
        "status": job.status.value,
        "created_at": _seconds(job.created_at),
        "model": job.model,
        "output": job.output or [],
        "metadata": job.metadata,
        "attempts": job.attempt,
        **_when_started(job),
        **_when_ended(job),
    }


def present_deleted(job_id: str) -> JSON:
    """The answer to DELETE on a response that had ended."""
    return {"id": job_id, "object": "response", "deleted": True}


def _when_started(job: Job) -> JSON:
    return {"started_at": _seconds(job.started_at)} if job.started_at else {}


def _when_ended(job: Job) -> JSON:
    if job.ended_at is None or job.expires_at is None:
        return {}
    shown: JSON = {"expires_at": _seconds(job.expires_at)}
    if job.status is Status.COMPLETED:
        shown |= {"completed_at": _seconds(job.ended_at), "usage": job.usage}
        if job.incomplete_reason:
            shown["incomplete_details"] = {"reason": job.incomplete_reason}
    elif job.status is Status.FAILED:
        shown |= {"failed_at": _seconds(job.ended_at), "error": _error(job)}
    else:
        shown["cancelled_at"] = _seconds(job.ended_at)
    return shown


def _error(job: Job) -> JSON:
    failure = Failure(job.error_code or Failure.SERVER_ERROR)
    return {"code": failure.value, "message": job.error_message, "retryable": failure.retryable}


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
