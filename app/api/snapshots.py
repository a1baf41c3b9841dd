"""A job as it was at an earlier stage of its life."""

from dataclasses import replace
from datetime import datetime

from app.domain.events import IN_PROGRESS
from app.domain.jobs import Job
from app.domain.lifecycle import Status


def as_it_was(job: Job, stage: int) -> Job:
    """The job at a stage (CREATED, QUEUED or IN_PROGRESS), whatever has become of it since.

    It is made of what never changes, so that a stream that is read again gives the same bytes. How often the job was
    tried is not among that.
    """
    started = stage == IN_PROGRESS
    return replace(
        job,
        status=Status.IN_PROGRESS if started else Status.QUEUED,
        attempt=0,
        worker=None,
        started_at=job.started_at if started else None,
        ended_at=None,
        expires_at=None,
        output=None,
        usage=None,
        incomplete_reason=None,
        error_code=None,
        error_message=None,
        position=None,
    )


def seconds(at: datetime) -> int:
    """A time as both dialects show it: Unix seconds."""
    return int(at.timestamp())
