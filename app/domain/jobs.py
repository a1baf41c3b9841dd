"""What a job asks for and how it can end, independent of any dialect or model server."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from app.domain.lifecycle import Status
from app.domain.requests import JSON, JobRequest

SYNC_QUEUE = "sync"
"""Jobs whose client waits on the line. Workers of their own take it: background load must not starve it."""
BACKGROUND_QUEUES = ("priority", "default", "flex")
"""Most urgent first; a worker takes from one only when those before it are empty."""
JOB_QUEUES = (SYNC_QUEUE, *BACKGROUND_QUEUES)
"""The queues that carry jobs. System work has a queue of its own, which no job ever enters."""


class Failure(StrEnum):
    """Why a job failed: the `error.code` its owner sees."""

    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    QUEUE_TIMEOUT = "queue_timeout"
    UPSTREAM_RATE_LIMITED = "upstream_rate_limited"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_INVALID_RESPONSE = "upstream_invalid_response"
    INVALID_PROMPT = "invalid_prompt"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    SERVER_ERROR = "server_error"

    @property
    def retryable(self) -> bool:
        """Whether the same request, sent again as a new job, may succeed."""
        return self not in {Failure.INVALID_PROMPT, Failure.CONTEXT_LENGTH_EXCEEDED, Failure.UPSTREAM_ERROR}


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds one job: seconds for each try, and how many tries."""

    soft_time_limit: float
    time_limit: float
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's own name for one request, and the SHA-256 of what it asked for under that name."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its owner may see it, without its inputs. Times are the database's."""

    id: UUID
    api_key_id: UUID
    status: Status
    model: str
    request: JSON
    """The stored `JobRequest.parameters()`."""
    metadata: dict[str, str]
    background: bool
    stream: bool
    store: bool
    attempt: int
    worker: str | None
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    output: list[JSON] | None = None
    usage: JSON | None = None
    incomplete_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    position: int | None = None
    """Its place in the queue, 1 being next; None once it left, and where nobody asked for it."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What a list may be narrowed to; `after` and `before` are ids, exclusive."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: UUID | None = None
    before: UUID | None = None
    status: Status | None = None
    cut_off: bool = False
    """Only those that completed, but were cut off."""
    model: str | None = None
    metadata: dict[str, str] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to run one try of a job: `attempt` is the fencing token."""

    job_id: UUID
    attempt: int
    request: JobRequest
    limits: Limits

    @property
    def fence(self) -> tuple[UUID, int]:
        """What a heartbeat and a settle must match."""
        return self.job_id, self.attempt


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A message to publish: which job, and the limits that its task runs under."""

    job_id: UUID
    queue: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Ended:
    """Jobs that have just ended, and the webhook endpoints that are to be told; false if it is none."""

    job_ids: list[UUID] = field(default_factory=list)
    endpoint_ids: list[UUID] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.job_ids)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model server counted them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def to_json(self) -> JSON:
        """The form in which usage is stored and shown."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Completed:
    """The model answered. `incomplete_reason` is set when it was cut off, such as by `max_output_tokens`."""

    output: list[JSON]
    usage: Usage | None
    incomplete_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended without an answer; `message` tells its owner what to do."""

    failure: Failure
    message: str


Outcome = Completed | Failed

TIMED_OUT = Failed(
    Failure.TIMEOUT,
    "The job was stopped at its time limit. Ask for less output, or have the model's time limit raised.",
)
WORKER_LOST = Failed(
    Failure.WORKER_LOST,
    "The worker was lost in every attempt to run this job. Submit it again; if it recurs, tell the administrator.",
)
QUEUE_TIMEOUT = Failed(
    Failure.QUEUE_TIMEOUT,
    "No worker was free to start the job before its deadline. Submit it again when the service is less busy.",
)
SERVER_ERROR = Failed(
    Failure.SERVER_ERROR,
    "Something went wrong inside the service. Submit it again; if it recurs, tell the administrator the id.",
)
