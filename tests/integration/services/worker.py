"""A worker's side without Celery: the execution service, and a model server that does as it is told."""

import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from app.db.engine import Database
from app.domain.deltas import Delta
from app.domain.errors import ModelNotFoundError
from app.domain.jobs import Completed, Failure, Usage
from app.domain.ports import Doorbell, EventLog, UpstreamError
from app.domain.requests import JobRequest
from app.services.execution import ExecutionService
from app.services.leases import Lease, Leases
from app.services.stream_writer import StreamPublisher
from app.settings import Settings
from app.upstreams.registry import Route, UpstreamRegistry
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.doorbell import LocalDoorbell
from tests.integration.services.event_log import MemoryEventLog

ANSWER = Completed([{"type": "message", "text": "\0 and ü"}], Usage(3, 4, 7), "max_output_tokens")
BUSY = UpstreamError(Failure.UPSTREAM_UNAVAILABLE, "Busy.", retryable=True)
WRONG = UpstreamError(Failure.INVALID_PROMPT, "Refused.")
SETTINGS = Settings(retry_backoff=0.01, lease=60, retention=3600)

Answer = Completed | UpstreamError | Callable[[], None]
Piece = Delta | UpstreamError | Callable[[], object]


@dataclass
class Script:
    """A registry with one upstream, which gives these answers in turn; a function is called before the next one.

    A streamed answer is made of deltas, errors and functions; `closed` counts the streams that were let go.
    """

    answers: list[Answer] = field(default_factory=list)
    streams: list[Iterable[Piece]] = field(default_factory=list)
    closed: int = 0
    calls: list[tuple[str, UUID, float]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def route(self, public_name: str) -> Route:
        if public_name == "gone":
            raise ModelNotFoundError("There is no such model.")
        return Route(self, f"real-{public_name}")

    def complete(self, request: JobRequest, *, model: str, job_id: UUID, timeout: float) -> Completed:
        self.calls.append((model, job_id, timeout))
        self.times.append(time.monotonic())
        answer = self.answers.pop(0)
        while callable(answer):
            answer()
            answer = self.answers.pop(0)
        if isinstance(answer, UpstreamError):
            raise answer
        return answer

    def stream(self, request: JobRequest, *, model: str, job_id: UUID, timeout: float) -> Generator[Delta, None, None]:
        self.calls.append((model, job_id, timeout))
        return self._stream(self.streams.pop(0))

    def _stream(self, pieces: Iterable[Piece]) -> Generator[Delta, None, None]:
        try:
            for piece in pieces:
                if isinstance(piece, UpstreamError):
                    raise piece
                if callable(piece):
                    piece()
                else:
                    yield piece
        finally:
            self.closed += 1


@dataclass
class Worker:
    """The service under test with its leases, and the jobs that were aborted."""

    database: Database
    script: Script
    dispatcher: RecordingDispatcher
    settings: Settings = SETTINGS
    doorbell: Doorbell = field(default_factory=LocalDoorbell)
    event_log: EventLog = field(default_factory=MemoryEventLog)
    aborted: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leases = Leases(self.database, self.settings.lease)
        registry = cast("UpstreamRegistry", self.script)
        self.publisher = StreamPublisher(self.event_log, self.settings.stream_window)
        self.service = ExecutionService(
            self.database, registry, self.dispatcher, self.doorbell, self.publisher, self.leases, self.settings
        )

    def claim(self, job_id: UUID) -> Lease:
        lease = self.service.claim(job_id, worker="jobs@test", abort=lambda: self.aborted.append(job_id))
        assert lease
        return lease

    def perform(self, job_id: UUID) -> Any:
        self.service.perform(self.claim(job_id))
        return self.row(job_id)

    def row(self, job_id: UUID) -> Any:
        with self.database.transaction() as connection:
            return rows.row(connection, job_id)

    @property
    def holds_nothing(self) -> bool:
        with self.leases._lock:
            return not self.leases._held
