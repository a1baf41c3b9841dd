"""What ended jobs add up to, by model and outcome, and what stands in the queues now."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

PICKUP_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
RUN_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Seconds up to which the buckets of a histogram reach. What is stored fits them: changing them takes a migration."""


class Chore(StrEnum):
    """What the sweep and the purge count."""

    SWEEP = "sweep"
    OVERDUE = "overdue"
    RESCUED = "rescued"
    EXPIRED = "expired"
    REDISPATCHED = "redispatched"
    TAKEN_BACK = "taken_back"
    GIVEN_UP = "given_up"
    PURGE = "purge"
    PURGED_JOBS = "purged_jobs"
    PURGED_DELIVERIES = "purged_deliveries"
    COUNT = "count"
    COUNT_DELIVERIES = "count_deliveries"
    """The exporter's own; `done_at` is up to when what ended is counted."""


@dataclass(frozen=True, slots=True)
class EndedJob:
    """What of one job is counted; `pickup` and `run` are seconds, None if it was never started."""

    model: str
    outcome: str
    attempts: int
    pickup: float | None
    run: float | None
    input_tokens: int
    output_tokens: int
    ended_at: datetime


@dataclass(slots=True)
class Spread:
    """A histogram: how many lie in each bucket, the last one being beyond all bounds, and their sum."""

    bounds: Sequence[float]
    buckets: list[int]
    seconds: float = 0.0

    @classmethod
    def over(cls, bounds: Sequence[float]) -> "Spread":
        """An empty one."""
        return cls(bounds, [0] * (len(bounds) + 1))

    def add(self, seconds: float | None) -> None:
        """Count one, if it is one. A clock that was set back makes none negative."""
        if seconds is not None:
            self.buckets[bisect_left(self.bounds, max(seconds, 0.0))] += 1
            self.seconds += max(seconds, 0.0)


@dataclass(slots=True)
class Total:
    """The ended jobs of one model with one outcome."""

    jobs: int = 0
    attempts: int = 0
    reruns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    pickup: Spread = field(default_factory=lambda: Spread.over(PICKUP_BOUNDS))
    run: Spread = field(default_factory=lambda: Spread.over(RUN_BOUNDS))

    def add(self, job: EndedJob) -> None:
        """Count one more."""
        self.jobs += 1
        self.attempts += job.attempts
        self.reruns += max(job.attempts - 1, 0)
        self.input_tokens += job.input_tokens
        self.output_tokens += job.output_tokens
        self.pickup.add(job.pickup)
        self.run.add(job.run)


Totals = Mapping[tuple[str, str], Total]
"""By model and outcome."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """The jobs of one queue; `oldest` is for how long the first one has waited, 0 if none does."""

    queue: str
    queued: int
    running: int
    oldest: float


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """The webhook deliveries that have not ended. Seconds: since the oldest event, and since the longest waiting
    delivery that nothing but workers keep from being sent was due.
    """

    pending: int
    in_progress: int
    oldest: float
    lag: float


@dataclass(frozen=True, slots=True)
class Truth:
    """All that the exporter shows of the database at one moment."""

    queues: Sequence[QueueState]
    deliveries: DeliveryState
    endpoints: Mapping[str, int]
    """Of webhooks, by state: `ok`, `failing`, `disabled`."""
    totals: Totals
    delivered: Mapping[str, int]
    """Webhook deliveries that ended, by outcome: `delivered`, or why one was given up."""
    chores: Mapping[str, tuple[int, float]]
    """How much, and seconds since it was last done."""
    rows: Mapping[str, float]
    """The database's own estimate, by table."""
    database_bytes: int
