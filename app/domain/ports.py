"""Roles that something outside plays for Simmer; the adapters and upstreams fill them."""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from app.domain.deltas import Delta
from app.domain.jobs import Completed, Dispatch, Failure
from app.domain.requests import JobRequest


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

    def dispatch(self, message: Dispatch) -> bool:
        """Publish the job's id; False, never an exception, if the broker did not take it."""
        ...

    def abort(self, job_id: UUID, worker: str) -> None:
        """Ask `worker` to stop running the job, if the broker can be reached; the heartbeat does it otherwise."""
        ...

    def deliver(self, endpoint_id: UUID) -> bool:
        """Have a worker see to the deliveries that are due at this webhook endpoint; False if the broker did not take
        it.
        """
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

    def stream(self, request: JobRequest, *, model: str, job_id: UUID, timeout: float) -> Generator[Delta, None, None]:
        """The same, piece by piece; the last one is a Finish.

        Raises UpstreamError, at any time, if the server breaks off. The caller closes the iterator.
        """
        ...


class EventLog(Protocol):
    """Where a running job's output events stand while they are new. It may lose them at any moment: the worker
    has them all, and at the end they are kept with the job.
    """

    def append(self, batch: Sequence[tuple[UUID, int, Sequence[bytes]]]) -> dict[UUID, int]:
        """Add events to several jobs' logs at once, each from the given index on, and ring for each.

        Returns how many events each log holds now: fewer than expected means that some were lost and are to be
        sent again; a log that takes no more, or that can't be reached, is left out.
        """
        ...

    def read(self, job_id: UUID, start: int) -> list[tuple[int, bytes]]:
        """Up to PAGE events from index `start` on, with their indices; [] if there are none or they can't be read."""
        ...

    def close(self, job_id: UUID) -> list[bytes]:
        """Let the log take no more, and return what it held, up to the first gap; [] if it can't be reached."""
        ...

    def release(self, job_id: UUID) -> None:
        """The log is kept with the job now: let it take no more, and drop it soon, for readers may be in its middle."""
        ...


class Sealer(Protocol):
    """Encrypts what stands at rest. A value opens for its own job alone, and only at its own place: the column, or
    another word for where it stands.
    """

    @property
    def current(self) -> str | None:
        """The id of the key that seals; None if nothing is to be sealed."""
        ...

    @property
    def key_ids(self) -> frozenset[str]:
        """The ids of the keys that open."""
        ...

    def seal(self, plain: bytes, job_id: UUID, place: str) -> str:
        """The value encrypted, in ASCII; call this only if there is a current key."""
        ...

    def open(self, sealed: str, job_id: UUID, place: str) -> bytes:
        """What was sealed. Raises SealedError, and tells the operator why, if it does not open."""
        ...


class Bell(Protocol):
    """Tells one listener about one job."""

    def wait(self, timeout: float) -> str:
        """Wait up to `timeout` seconds; what rang since the last call: STATE, OUTPUT, or NOTHING."""
        ...


NOTHING, OUTPUT, STATE = "", "output", "state"
"""What a bell rings for: more output, or a change of the job's state (which may come with output)."""


class Doorbell(Protocol):
    """Tells API processes that something happened to a job, so that nobody has to ask. Rings may be lost: every
    listener looks for itself from time to time.
    """

    def ring(self, job_ids: Sequence[UUID]) -> None:
        """Tell whoever listens that the jobs' states changed; never raises."""
        ...

    def listen(self, job_id: UUID) -> AbstractContextManager[Bell]:
        """Listen for the block. What happens after it was entered rings."""
        ...

    def listened(self) -> list[UUID]:
        """The jobs that somebody in this process listens to."""
        ...

    def ring_here(self, job_id: UUID) -> None:
        """Tell the listeners of this process that the job's state changed."""
        ...
