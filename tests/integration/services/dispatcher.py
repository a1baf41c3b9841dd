"""A Dispatcher that remembers what it was told; the broker behind it can be down, full or refusing."""

from dataclasses import dataclass, field
from uuid import UUID

from app.domain.errors import UnavailableError
from app.domain.jobs import Dispatch


@dataclass(slots=True)
class RecordingDispatcher:
    """`waiting` is the backlog it reports; it grows with what is published."""

    up: bool = True
    waiting: int = 0
    dispatched: list[Dispatch] = field(default_factory=list)
    aborted: list[tuple[UUID, str]] = field(default_factory=list)
    delivered: list[UUID] = field(default_factory=list)
    """The webhook endpoints that were to be told."""

    @property
    def job_ids(self) -> list[UUID]:
        return [message.job_id for message in self.dispatched]

    def dispatch(self, message: Dispatch) -> bool:
        if self.up:
            self.waiting += 1
            self.dispatched.append(message)
        return self.up

    def abort(self, job_id: UUID, worker: str) -> None:
        self.aborted.append((job_id, worker))

    def deliver(self, endpoint_id: UUID) -> bool:
        if self.up:
            self.delivered.append(endpoint_id)
        return self.up

    def backlog(self, queue: str) -> int:
        self.ping()
        return self.waiting

    def ping(self) -> None:
        if not self.up:
            raise UnavailableError("The broker does not answer.")
