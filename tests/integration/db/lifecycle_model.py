"""What the row of a job must be, in plain Python: the oracle of the lifecycle machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Connection, case, func, select, text

from app.db.jobs import jobs
from app.domain.jobs import WORKER_LOST, Completed, Failed, Outcome
from app.domain.lifecycle import ACTIVE, Status

LOG = b"what readers had seen"
"""What is packed of the log of a job that streamed."""


class Time(StrEnum):
    """The times of a row that somebody waits for, by column."""

    LEASE = "lease_expires_at"
    RUN = "run_deadline_at"
    QUEUE = "queue_expires_at"
    REDISPATCH = "redispatch_at"
    RETENTION = "expires_at"


AWAITED = {
    Status.QUEUED: (Time.QUEUE, Time.REDISPATCH),
    Status.IN_PROGRESS: (Time.LEASE, Time.RUN),
    **dict.fromkeys(frozenset(Status) - ACTIVE, (Time.RETENTION,)),
}
"""The times that move a job out of each state."""


@dataclass(frozen=True, slots=True)
class Row:
    """All of a row that moves change. `passed` are those of its times that lie in the past."""

    owner: UUID
    key: str | None
    max_attempts: int
    status: Status = Status.QUEUED
    attempt: int = 0
    worker: str | None = None
    streamed: bool = False
    dispatches: int = 0
    output: Any = None
    error_code: str | None = None
    events: bytes | None = None
    passed: frozenset[Time] = frozenset()

    @property
    def spent(self) -> bool:
        """Whether it can't be run again: no attempt is left, or a reader has seen output."""
        return self.streamed or self.attempt >= self.max_attempts

    def due(self, time: Time) -> bool:
        """Whether it is in a state that this time ends, and the time has passed."""
        return time in AWAITED[self.status] and time in self.passed

    def let_pass(self, time: Time) -> Self:
        return replace(self, passed=self.passed | {time})

    def claimed(self, worker: str) -> Self:
        attempt = self.attempt + 1
        return replace(self._now(Status.IN_PROGRESS), attempt=attempt, worker=worker)

    def kept(self) -> Self:
        """With its lease extended."""
        return replace(self, passed=self.passed - {Time.LEASE})

    def logged(self) -> Self:
        """With what its readers have seen, before somebody else than its worker ends it."""
        running = self.status is Status.IN_PROGRESS
        return replace(self, events=LOG) if running and self.streamed else self

    def redispatched(self) -> Self:
        return replace(self, dispatches=self.dispatches + 1, passed=self.passed - {Time.REDISPATCH})

    def requeued(self) -> Self:
        return replace(self._now(Status.QUEUED), worker=None, dispatches=0)

    def settled(self, outcome: Outcome, events: bytes | None = None) -> Self:
        """Ended with the outcome; without `events` those that are there stay."""
        if isinstance(outcome, Completed):
            return replace(self._now(Status.COMPLETED), output=outcome.output, events=events)
        assert isinstance(outcome, Failed)
        return replace(self._now(Status.FAILED), error_code=outcome.failure.value, events=events or self.events)

    def cancelled(self) -> Self:
        return self._now(Status.CANCELLED)

    def _now(self, status: Status) -> Self:
        # The deadline in the queue stays, whatever happens; what else was awaited is over.
        return replace(self, status=status, passed=self.passed & {Time.QUEUE})


World = Mapping[UUID, Row]
"""The whole table."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a move must answer, and each row that it writes or locks, as it leaves it: None if it deletes it."""

    answer: object
    rows: Mapping[UUID, Row | None] = field(default_factory=dict)

    def on(self, world: World) -> World:
        """The table afterwards."""
        return {job_id: row for job_id, row in {**world, **self.rows}.items() if row}


def taken_back(found: World) -> Effect:
    """The answer is which failed, and which were queued again."""
    after = {job_id: row.settled(WORKER_LOST) if row.spent else row.requeued() for job_id, row in found.items()}
    failed = frozenset(job_id for job_id, row in after.items() if row.status is Status.FAILED)
    return Effect((failed, frozenset(after) - failed), after)


_PLAIN = ("max_attempts", "attempt", "worker", "streamed", "dispatches", "output", "error_code", "events")
# An end may be kept for longer, or not as long.
_IMAGE = case((jobs.ended_at.is_not(None), text("(to_jsonb(jobs) - 'expires_at')::text"))).label("image")
_READ = select(
    *(jobs[name] for name in ("id", "api_key_id", "idempotency_key", "status", *_PLAIN, *Time)),
    func.now().label("now"),
    _IMAGE,
)


def read(connection: Connection) -> tuple[World, dict[UUID, str]]:
    """The table as it stands; and all that must never change of the jobs that have ended, in one text each."""
    found = connection.execute(_READ).all()
    return {row.id: _row(row) for row in found}, {row.id: row.image for row in found if row.image}


def _row(found: Any) -> Row:
    passed = (time for time in Time if (at := getattr(found, time)) and at <= found.now)
    plain = {name: getattr(found, name) for name in _PLAIN}
    owner, key = found.api_key_id, found.idempotency_key
    return Row(owner, key, status=Status(found.status), passed=frozenset(passed), **plain)
