"""The sweep and the purge. Each is safe to run at any time, twice at once, and to be killed in the middle."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from uuid import UUID

from app.db import sweep as db
from app.db.engine import Database
from app.domain.errors import UnavailableError
from app.domain.events import log_closer
from app.domain.jobs import JOB_QUEUES, Dispatch
from app.domain.ports import Dispatcher, Doorbell, EventLog
from app.settings import Settings

log = logging.getLogger(__name__)

BATCH = 500
"""Rows that one statement of the sweep moves."""
REDISPATCH_BATCH = 100
"""Messages sent again between two looks at the broker's backlog."""
PURGE_REST = 2.0
"""Times what a batch of the purge took, for which the database is left to others: nobody waits for a purge."""
TIME_BUDGET = 30.0
"""Seconds after which a sweep or a purge leaves the rest to the next one."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """How many jobs one sweep moved, and how many messages it sent again."""

    overdue: int = 0
    rescued: int = 0
    expired: int = 0
    redispatched: int = 0


@dataclass(frozen=True, slots=True)
class MaintenanceService:
    """Moves the jobs that nobody else moves any more."""

    database: Database
    dispatcher: Dispatcher
    doorbell: Doorbell
    event_log: EventLog
    settings: Settings

    def sweep(self) -> SweepReport:
        """End overdue jobs, rescue those of lost workers, expire those never started, send lost messages again."""
        report = SweepReport(
            overdue=_in_batches(self._stop_overdue, BATCH),
            rescued=_in_batches(self._rescue, BATCH),
            expired=_in_batches(self._expire, BATCH),
            redispatched=sum(self._redispatch(queue) for queue in JOB_QUEUES),
        )
        if any(asdict(report).values()):
            log.info("swept", extra={"fields": asdict(report)})
        return report

    def purge(self) -> int:
        """Delete ended jobs whose retention is over; return how many."""
        deleted = _in_batches(self._purge, self.settings.purge_batch, rest=PURGE_REST)
        if deleted:
            log.info("purged", extra={"fields": {"deleted": deleted}})
        return deleted

    def _stop_overdue(self) -> int:
        with self.database.transaction() as connection:
            failed = db.stop_overdue(
                connection, limit=BATCH, retention=self.settings.retention, events_of=log_closer(self.event_log)
            )
        return self._tell(failed)

    def _rescue(self) -> int:
        with self.database.transaction() as connection:
            given_up, messages = db.rescue(
                connection,
                limit=BATCH,
                retention=self.settings.retention,
                redispatch_after=self.settings.redispatch_after,
                events_of=log_closer(self.event_log),
            )
        self._publish(messages)
        return self._tell(given_up) + len(messages)

    def _expire(self) -> int:
        with self.database.transaction() as connection:
            expired = db.expire_queued(connection, limit=BATCH, retention=self.settings.retention)
        return self._tell(expired)

    def _tell(self, ended: list[UUID]) -> int:
        self.doorbell.ring(ended)
        return len(ended)

    def _redispatch(self, queue: str) -> int:
        """Publish again, a few at a time, until the queue holds enough: what waits in it has not been lost."""
        return _in_batches(lambda: self._redispatch_batch(queue), REDISPATCH_BATCH)

    def _redispatch_batch(self, queue: str) -> int:
        try:
            # Asked anew for each batch: another sweep may be at it too.
            room = self.settings.redispatch_limit - self.dispatcher.backlog(queue)
        except UnavailableError:
            log.warning("broker unavailable, nothing sent again")
            return 0
        if room <= 0:
            return 0
        with self.database.transaction() as connection:
            messages = db.redispatch(
                connection,
                queue,
                limit=min(room, REDISPATCH_BATCH),
                redispatch_after=self.settings.redispatch_after,
            )
        return self._publish(messages)

    def _publish(self, messages: list[Dispatch]) -> int:
        """Send the messages after their commit; those the broker refuses have their next turn in a later sweep."""
        return sum(self.dispatcher.dispatch(message) for message in messages)

    def _purge(self) -> int:
        with self.database.transaction() as connection:
            return db.purge(connection, limit=self.settings.purge_batch)


def _in_batches(step: Callable[[], int], size: int, *, rest: float = 0) -> int:
    """Repeat `step`, a transaction of up to `size` rows, until one comes back short or the time budget is spent.

    `rest` is how long to pause after each, in times of what it took.
    """
    deadline = time.monotonic() + TIME_BUDGET
    total = 0
    while True:
        started_at = time.monotonic()
        moved = step()
        total += moved
        if moved < size or time.monotonic() >= deadline:
            return total
        time.sleep((time.monotonic() - started_at) * rest)
