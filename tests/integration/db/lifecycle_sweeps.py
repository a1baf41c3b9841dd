"""What the sweep and the purge do: how the product does it, and what the model says must come of it."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from sqlalchemy import Connection

from app.db import sweep
from app.domain.jobs import QUEUE_TIMEOUT, TIMED_OUT, Failed
from tests.integration.db.lifecycle_model import Effect, Time, World, taken_back
from tests.integration.db.lifecycle_moves import HOUR, Move, ids_of, log_of

BATCH = 100


@dataclass(frozen=True)
class Rescue(Move):
    skips: ClassVar[bool] = True

    def write(self, connection: Connection) -> object:
        return ids_of(*sweep.rescue(connection, limit=BATCH, retention=HOUR, redispatch_after=HOUR, events_of=log_of))

    def expect(self, world: World) -> Effect:
        return taken_back({job_id: row.logged() for job_id, row in _due(world, Time.LEASE).items()})


@dataclass(frozen=True)
class StopOverdue(Move):
    skips: ClassVar[bool] = True

    def write(self, connection: Connection) -> set[UUID]:
        return set(sweep.stop_overdue(connection, limit=BATCH, retention=HOUR, events_of=log_of).job_ids)

    def expect(self, world: World) -> Effect:
        return _failed({job_id: row.logged() for job_id, row in _due(world, Time.RUN).items()}, TIMED_OUT)


@dataclass(frozen=True)
class Expire(Move):
    skips: ClassVar[bool] = True

    def write(self, connection: Connection) -> set[UUID]:
        return set(sweep.expire_queued(connection, limit=BATCH, retention=HOUR).job_ids)

    def expect(self, world: World) -> Effect:
        return _failed(_due(world, Time.QUEUE), QUEUE_TIMEOUT)


@dataclass(frozen=True)
class Redispatch(Move):
    skips: ClassVar[bool] = True

    def write(self, connection: Connection) -> set[UUID]:
        messages = sweep.redispatch(connection, "default", limit=BATCH, redispatch_after=HOUR)
        return {message.job_id for message in messages}

    def expect(self, world: World) -> Effect:
        sent = {job_id: row.redispatched() for job_id, row in _due(world, Time.REDISPATCH).items()}
        return Effect(set(sent), sent)


@dataclass(frozen=True)
class Purge(Move):
    """The answer is how many."""

    skips: ClassVar[bool] = True

    def write(self, connection: Connection) -> int:
        return sweep.purge(connection, limit=BATCH).deleted

    def expect(self, world: World) -> Effect:
        due = _due(world, Time.RETENTION)
        return Effect(len(due), dict.fromkeys(due))


def _due(world: World, time: Time) -> World:
    return {job_id: row for job_id, row in world.items() if row.due(time)}


def _failed(found: World, outcome: Failed) -> Effect:
    return Effect(set(found), {job_id: row.settled(outcome) for job_id, row in found.items()})
