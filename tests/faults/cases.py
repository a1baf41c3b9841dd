"""A history sorted by job: what each reply showed of it, and when that was true."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

from tests.faults.history import (
    Call,
    Create,
    Delete,
    Fault,
    History,
    Listed,
    Purged,
    R,
    Read,
    Record,
    Request,
    Sighting,
    Stream,
)

TERMINAL = frozenset({"completed", "failed", "cancelled"})
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold; `subject` is a job's id, a canary, a key or a place."""

    invariant: str
    subject: str
    detail: str
    evidence: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What was promised, in seconds. Without a retention nothing may ever be gone."""

    deadline: float
    retention: float | None = None
    purge_grace: float = 0.0
    """How late a purge may be."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A state that a reply showed. The job was in it at some moment between the two times, nobody knows which."""

    began_at: float
    known_at: float
    state: str
    result: str | None
    record: Record

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL


@dataclass
class Case:
    """All that is known of one job id. Complete when it is made: what follows from it is worked out once."""

    job_id: str
    records: list[Record] = field(default_factory=list)

    def of(self, kind: type[R]) -> list[R]:
        """Its records of one kind."""
        return [record for record in self.records if isinstance(record, kind)]

    @cached_property
    def owner(self) -> str | None:
        """The key that was told of the job first; None if the id was guessed."""
        told = [(create.sent_at, create.key) for create in self.of(Create)]
        told += [(listed.sent_at, listed.key) for listed in self.of(Listed)]
        return min(told)[1] if told else None

    @cached_property
    def canaries(self) -> frozenset[str]:
        """The requests that it answers."""
        return frozenset(create.canary for create in self.of(Create))

    @cached_property
    def sights(self) -> list[Sight]:
        """What the owner saw of its state, by the time of the question."""
        return sorted(self._sights(), key=lambda sight: sight.began_at)

    def shown(self) -> Iterator[tuple[float, Record]]:
        """Every reply to the owner that says that the job is there, and when it was asked for."""
        for request in self._asked_by_owner():
            if is_positive(request.status):
                yield request.sent_at, request
        for stream in self.of(Stream):
            if stream.key == self.owner and stream.sequence_numbers:
                yield stream.opened_at, stream
        for listed in self.of(Listed):
            if listed.key == self.owner:
                yield listed.sent_at, listed

    @cached_property
    def gone(self) -> list[tuple[float, Record]]:
        """When it was known to be gone, and by what, in order."""
        found: list[tuple[float, Record]] = [(purged.at, purged) for purged in self.of(Purged)]
        for request in self._asked_by_owner():
            told = request.status == 404 or (isinstance(request, Delete) and request.deleted)
            if request.answered_at and told:
                found.append((request.answered_at, request))
        return sorted(found, key=itemgetter(0))

    def deleted(self, after: float = 0.0, before: float = NEVER) -> bool:
        """Whether its owner may have deleted it, by a request of that time."""
        deletes = (delete for delete in self.of(Delete) if delete.key == self.owner and is_possible(delete.status))
        return any(after <= delete.sent_at < before for delete in deletes)

    def ended_after(self) -> float:
        """It ended no earlier than this."""
        running = [sight.began_at for sight in self.sights if not sight.terminal]
        shown = [read.ended_at for read in self.of(Read) if read.ended_at]
        created_at = min((create.sent_at for create in self.of(Create)), default=0.0)
        return max([created_at, *running, *shown])

    def ended_before(self) -> float:
        """It ended no later than this. Replies show the end in whole seconds, rounded down."""
        known = [sight.known_at for sight in self.sights if sight.terminal]
        shown = [read.ended_at + 1 for read in self.of(Read) if read.ended_at]
        return min(known + shown, default=NEVER)

    def _asked_by_owner(self) -> list[Request]:
        asked = (record for record in self.records if isinstance(record, Request))
        return [request for request in asked if request.key == self.owner]

    def _sights(self) -> Iterator[Sight]:
        for request in self._asked_by_owner():
            if request.state and request.answered_at:
                yield Sight(request.sent_at, request.answered_at, request.state, request.result, request)
        for stream in self.of(Stream):
            if stream.key == self.owner and stream.terminal:
                yield Sight(stream.opened_at, stream.closed_at, stream.terminal, stream.result, stream)
        for listed in self.of(Listed):
            if listed.key == self.owner:
                yield Sight(listed.sent_at, listed.answered_at, listed.state, None, listed)


class _Jobs(dict[str, Case]):
    def __missing__(self, job_id: str) -> Case:
        return self.setdefault(job_id, Case(job_id))


class Cases:
    """The whole history by job id, by request, and by idempotency key."""

    def __init__(self, history: History) -> None:
        self.jobs: dict[str, Case] = _Jobs()
        self.creates: dict[str, list[Create]] = defaultdict(list)
        """By canary: the tries of one request."""
        self.calls: dict[str, list[Call]] = defaultdict(list)
        """By canary."""
        self.listed: dict[str, list[Listed]] = defaultdict(list)
        """By canary."""
        for record in history:
            self._file(record)

    def owners(self, canary: str) -> frozenset[str]:
        """The keys that have sent it."""
        return frozenset(create.key for create in self.creates.get(canary, ()))

    def _file(self, record: Record) -> None:
        if isinstance(record, Create):
            self.creates[record.canary].append(record)
        elif isinstance(record, Call):
            self.calls[record.canary].append(record)
        elif isinstance(record, Listed) and record.canary:
            self.listed[record.canary].append(record)
        if job_id := _job_of(record):
            self.jobs[job_id].records.append(record)


def _job_of(record: Record) -> str | None:
    if isinstance(record, Call | Fault | Sighting):
        return None
    if isinstance(record, Create) and not is_positive(record.status):
        return None
    return record.job_id


def is_positive(status: int | None) -> bool:
    """Whether a reply says that the job is there; 304 does too."""
    return status is not None and (200 <= status < 300 or status == 304)


def is_possible(status: int | None) -> bool:
    """Whether a request may have been carried out: also without a reply, or if the server stumbled on the way to it."""
    return status is None or status < 300 or status >= 500
