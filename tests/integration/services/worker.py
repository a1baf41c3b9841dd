"""A worker's side without Celery: the execution service, and a model server that does as it is told."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from app.db.engine import Database
from app.domain.errors import ModelNotFoundError
from app.domain.jobs import Completed, Failure, JobRequest, Usage
from app.domain.ports import UpstreamError
from app.services.execution import ExecutionService
from app.services.leases import Lease, Leases
from app.settings import Settings
from app.upstreams.registry import Route, UpstreamRegistry
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher

ANSWER = Completed([{"type": "message", "text": "\0 and ü"}], Usage(3, 4, 7), "max_output_tokens")
BUSY = UpstreamError(Failure.UPSTREAM_UNAVAILABLE, "Busy.", retryable=True)
WRONG = UpstreamError(Failure.INVALID_PROMPT, "Refused.")
SETTINGS = Settings(retry_backoff=0.01, lease=60, retention=3600)

Answer = Completed | UpstreamError | Callable[[], None]


@dataclass
class Script:
    """A registry with one upstream, which gives these answers in turn; a function is called before the next one."""

    answers: list[Answer]
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


@dataclass
class Worker:
    """The service under test with its leases, and the jobs that were aborted."""

    database: Database
    script: Script
    dispatcher: RecordingDispatcher
    settings: Settings = SETTINGS
    aborted: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leases = Leases(self.database, self.settings.lease)
        registry = cast("UpstreamRegistry", self.script)
        self.service = ExecutionService(self.database, registry, self.dispatcher, self.leases, self.settings)

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
