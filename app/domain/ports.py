"""Roles that something outside plays for Simmer; the adapters and upstreams fill them."""

from typing import Protocol
from uuid import UUID

from app.domain.jobs import Completed, Failure, JobRequest, Limits


class UpstreamError(Exception):
    """The model server did not give a result.

    `failure` is the code a job that ends with this error carries; `retry_after` are seconds the server asked
    us to wait, if it said so.
    """

    def __init__(
        self, failure: Failure, message: str, *, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after


class Dispatcher(Protocol):
    """Tells workers about jobs. What it carries are hints: losing any of them loses no job."""

    def dispatch(self, job_id: UUID, limits: Limits, queue: str) -> bool:
        """Publish the job's id to `queue`; False, never an exception, if the broker did not take it."""
        ...

    def abort(self, job_id: UUID, worker: str) -> None:
        """Ask `worker` to stop running the job, if the broker can be reached; the heartbeat does it otherwise."""
        ...

    def backlog(self, queue: str) -> int:
        """How many messages wait in `queue`. Raises UnavailableError if the broker does not say."""
        ...

    def ping(self) -> None:
        """Raise UnavailableError unless the broker answers."""
        ...


class Upstream(Protocol):
    """A model server."""

    def complete(self, request: JobRequest, *, model: str, job_id: UUID, timeout: float) -> Completed:
        """Answer `request` within `timeout` seconds with the server's `model`.

        Raises UpstreamError if the server gave no result.
        """
        ...
