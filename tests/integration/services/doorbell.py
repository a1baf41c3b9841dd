"""A Doorbell inside one process that remembers what it rang for; the broker behind it can be down."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from app.domain.ports import NOTHING, OUTPUT, STATE


class LocalBell:
    """What rang since it was looked at last."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._what = NOTHING

    def ring(self, what: str) -> None:
        with self._changed:
            self._what = STATE if STATE in (what, self._what) else what
            self._changed.notify_all()

    def wait(self, timeout: float) -> str:
        with self._changed:
            self._changed.wait_for(lambda: self._what, timeout)
            what, self._what = self._what, NOTHING
            return what


@dataclass
class LocalDoorbell:
    """`rung` are the jobs whose changes of state were told of, in order."""

    up: bool = True
    rung: list[UUID] = field(default_factory=list)
    _bells: list[tuple[UUID, LocalBell]] = field(default_factory=list)

    def ring(self, job_ids: Sequence[UUID]) -> None:
        if self.up:
            self.rung += job_ids
            for job_id in job_ids:
                self._ring(job_id, STATE)

    def ring_output(self, job_id: UUID) -> None:
        if self.up:
            self._ring(job_id, OUTPUT)

    @contextmanager
    def listen(self, job_id: UUID) -> Iterator[LocalBell]:
        entry = job_id, LocalBell()
        self._bells.append(entry)
        try:
            yield entry[1]
        finally:
            self._bells.remove(entry)

    def listened(self) -> list[UUID]:
        return list({job_id for job_id, _ in list(self._bells)})

    def ring_here(self, job_id: UUID) -> None:
        self._ring(job_id, STATE)

    def _ring(self, wanted: UUID, what: str) -> None:
        for job_id, bell in list(self._bells):
            if job_id == wanted:
                bell.ring(what)
