"""What clients and workers do with one job: how the product does it, and what the model says must come of it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar
from uuid import UUID

from sqlalchemy import Connection

from app.db import endings, submission
from app.db import jobs as db
from app.domain.jobs import Claim, Dispatch, Ended, Idempotency, Limits, Outcome
from app.domain.lifecycle import ACTIVE, Status
from app.domain.requests import JobRequest
from tests import rows
from tests.integration.db.lifecycle_model import LOG, Effect, Row, Time, World, taken_back

HOUR = 3600.0
_REQUEST = JobRequest("gpt-4.1", (), stream=True)


class Move(ABC):
    """One transaction of the product, with all it needs to know."""

    skips: ClassVar[bool] = False
    """Whether it passes over rows that another transaction holds; all others wait for them."""

    @abstractmethod
    def write(self, connection: Connection) -> object:
        """Have the product do it; return its answer."""

    @abstractmethod
    def expect(self, world: World) -> Effect:
        """What must come of it."""


@dataclass(frozen=True)
class Submit(Move):
    """Insert a job, unless its idempotency key has one already; the answer is the id of either."""

    job_id: UUID
    owner: UUID
    key: str | None
    max_attempts: int

    def write(self, connection: Connection) -> UUID | None:
        idempotency = Idempotency(self.key, b"digest") if self.key else None
        # As `JobService` does: the key may be taken, or freed, between the two statements.
        for _ in range(3):
            if idempotency and (found := submission.find_repeated(connection, self.owner, idempotency)):
                return found[0].id
            if self._add(connection, idempotency):
                return self.job_id
        return None

    def _add(self, connection: Connection, idempotency: Idempotency | None) -> object:
        message = Dispatch(self.job_id, "default", Limits(50, 60, self.max_attempts))
        return submission.add(
            connection,
            message,
            self.owner,
            _REQUEST,
            queue_timeout=HOUR,
            redispatch_after=HOUR,
            idempotency=idempotency,
        )

    def expect(self, world: World) -> Effect:
        new = Row(self.owner, self.key, self.max_attempts)
        same = [job_id for job_id, row in world.items() if self.key and (row.owner, row.key) == (self.owner, self.key)]
        if same and not world[same[0]].due(Time.RETENTION):
            return Effect(same[0])
        return Effect(self.job_id, {**dict.fromkeys(same), self.job_id: new})


@dataclass(frozen=True)
class Take(Move):
    """Claim a job; the answer is the attempt."""

    job_id: UUID
    worker: str

    def write(self, connection: Connection) -> int | None:
        claim = db.claim(connection, self.job_id, worker=self.worker, lease=HOUR)
        return claim.attempt if claim else None

    def expect(self, world: World) -> Effect:
        row = world.get(self.job_id)
        if row is None or row.status is not Status.QUEUED or row.attempt >= row.max_attempts:
            return Effect(None)
        claimed = row.claimed(self.worker)
        return Effect(claimed.attempt, {self.job_id: claimed})


@dataclass(frozen=True)
class Held(Move):
    """A worker's write, which needs its claim to be good."""

    job_id: UUID
    attempt: int
    refusal: ClassVar[object] = False

    @property
    def claim(self) -> Claim:
        return rows.claim_of(self.job_id, self.attempt)

    def expect(self, world: World) -> Effect:
        row = world.get(self.job_id)
        if row is None or row.status is not Status.IN_PROGRESS or row.attempt != self.attempt:
            return Effect(self.refusal)
        return self.allowed(row)

    @abstractmethod
    def allowed(self, row: Row) -> Effect:
        """What must come of it while the claim is good."""


@dataclass(frozen=True)
class NextAttempt(Held):
    """The answer is the new attempt."""

    refusal: ClassVar[object] = None

    def write(self, connection: Connection) -> int | None:
        return db.start_attempt(connection, self.claim)

    def allowed(self, row: Row) -> Effect:
        if row.attempt >= row.max_attempts:
            return Effect(None)
        attempt = row.attempt + 1
        return Effect(attempt, {self.job_id: replace(row, attempt=attempt)})


@dataclass(frozen=True)
class StartStreaming(Held):
    def write(self, connection: Connection) -> bool:
        return db.start_streaming(connection, self.claim)

    def allowed(self, row: Row) -> Effect:
        return Effect(True, {self.job_id: replace(row, streamed=True)})


@dataclass(frozen=True)
class Settle(Held):
    outcome: Outcome
    events: bytes

    def write(self, connection: Connection) -> bool:
        return bool(endings.settle(connection, self.claim, self.outcome, retention=HOUR, events=self.events))

    def allowed(self, row: Row) -> Effect:
        return Effect(True, {self.job_id: row.settled(self.outcome, self.events)})


@dataclass(frozen=True)
class HandBack(Held):
    """The answer is what failed, and what was queued again."""

    refusal: ClassVar[object] = (frozenset(), frozenset())

    def write(self, connection: Connection) -> object:
        return ids_of(*endings.take_back(connection, db.held_by(self.claim), retention=HOUR, redispatch_after=HOUR))

    def allowed(self, row: Row) -> Effect:
        return taken_back({self.job_id: row})


@dataclass(frozen=True)
class Heartbeat(Move):
    """The answer is the jobs that are still the worker's."""

    fences: tuple[tuple[UUID, int], ...]

    def write(self, connection: Connection) -> set[UUID]:
        return db.extend_leases(connection, self.fences, lease=HOUR)

    def expect(self, world: World) -> Effect:
        running = {job_id: row for job_id, row in world.items() if row.status is Status.IN_PROGRESS}
        own = {job_id: row.kept() for job_id, row in running.items() if (job_id, row.attempt) in self.fences}
        return Effect(set(own), own)


@dataclass(frozen=True)
class Cancel(Move):
    """By an owner, or by an administrator (None)."""

    job_id: UUID
    owner: UUID | None

    def write(self, connection: Connection) -> bool:
        which = db.owned(self.job_id, self.owner) if self.owner else db.jobs.id == self.job_id
        endings.keep_events(connection, which, events_of=log_of)
        return endings.cancel(connection, which, retention=HOUR) is not None

    def expect(self, world: World) -> Effect:
        row = world.get(self.job_id)
        if row is None or row.status not in ACTIVE or self.owner not in {None, row.owner}:
            return Effect(False)
        return Effect(True, {self.job_id: row.logged().cancelled()})


@dataclass(frozen=True)
class Delete(Move):
    job_id: UUID
    owner: UUID

    def write(self, connection: Connection) -> bool:
        return endings.delete_ended(connection, self.job_id, self.owner)

    def expect(self, world: World) -> Effect:
        row = world.get(self.job_id)
        if row is None or row.status in ACTIVE or row.owner != self.owner:
            return Effect(False)
        return Effect(True, {self.job_id: None})


def log_of(_job_id: UUID) -> bytes:
    return LOG


def ids_of(failed: Ended, messages: list[Dispatch]) -> tuple[frozenset[UUID], frozenset[UUID]]:
    return frozenset(failed.job_ids), frozenset(message.job_id for message in messages)
