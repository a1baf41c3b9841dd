"""An EventLog in memory that can be down, and lose everything, as the broker can."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tests.integration.services.doorbell import LocalDoorbell


@dataclass
class MemoryEventLog:
    """`appended` are the batches that came while it was up, `refused` how many came while it was down."""

    doorbell: LocalDoorbell = field(default_factory=LocalDoorbell)
    up: bool = True
    refused: int = 0
    logs: dict[UUID, list[bytes]] = field(default_factory=dict)
    appended: list[list[tuple[UUID, int, list[bytes]]]] = field(default_factory=list)
    closed: set[UUID] = field(default_factory=set)
    released: list[UUID] = field(default_factory=list)

    def append(self, batch: Sequence[tuple[UUID, int, Sequence[bytes]]]) -> dict[UUID, int]:
        if not self.up:
            self.refused += 1
            return {}
        self.appended.append([(job_id, start, list(events)) for job_id, start, events in batch])
        taken = [entry for entry in batch if entry[0] not in self.closed]
        return {job_id: self._add(job_id, start, events) for job_id, start, events in taken}

    def _add(self, job_id: UUID, start: int, events: Sequence[bytes]) -> int:
        log = self.logs.setdefault(job_id, [])
        if len(log) == start:
            log += events
            self.doorbell.ring_output(job_id)
        return len(log)

    def read(self, job_id: UUID, start: int) -> list[tuple[int, bytes]]:
        return list(enumerate(self.logs.get(job_id, [])))[start:] if self.up else []

    def close(self, job_id: UUID) -> list[bytes]:
        if not self.up:
            return []
        self.closed.add(job_id)
        return list(self.logs.get(job_id, []))

    def release(self, job_id: UUID) -> None:
        self.released.append(job_id)
