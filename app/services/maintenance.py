"""The sweep and the purge. Each is safe to run at any time, twice at once, and to be killed in the middle."""

import logging
from dataclasses import asdict, dataclass

from app.db import sweep as db
from app.db.engine import Database
from app.domain.errors import UnavailableError
from app.domain.events import log_closer
from app.domain.jobs import JOB_QUEUES, Dispatch, Ended
from app.domain.ports import Dispatcher, Doorbell, EventLog
from app.domain.totals import Chore
from app.services.batches import in_batches, purge_in_batches
from app.services.chores import note
from app.services.news import tell
from app.settings import Settings

log = logging.getLogger(__name__)

BATCH = 500
"""Rows that one statement of the sweep moves."""
REDISPATCH_BATCH = 100
"""Messages sent again between two looks at the broker's backlog."""


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
            overdue=in_batches(self._stop_overdue, BATCH),
            rescued=in_batches(self._rescue, BATCH),
            expired=in_batches(self._expire, BATCH),
            redispatched=sum(self._redispatch(queue) for queue in self._queues_due()),
        )
        moved = asdict(report)
        if any(moved.values()):
            log.info("swept", extra={"fields": moved})
        note(self.database, {Chore.SWEEP: 1} | {Chore(kind): number for kind, number in moved.items() if number})
        return report

    def purge(self) -> int:
        """Delete ended jobs whose retention is over; return how many."""
        total = purge_in_batches(self.database, db.purge, self.settings.purge_batch)
        if total:
            log.info("purged", extra={"fields": {"deleted": total}})
        note(self.database, {Chore.PURGE: 1, Chore.PURGED_JOBS: total})
        return total

    def _stop_overdue(self) -> int:
        with self.database.transaction() as connection:
            failed = db.stop_overdue(
                connection, limit=BATCH, retention=self.settings.retention, events_of=log_closer(self.event_log)
            )
        return self._tell(failed, "it ran out of its time limit")

    def _rescue(self) -> int:
        with self.database.transaction() as connection:
            given_up, messages = db.rescue(
                connection,
                limit=BATCH,
                retention=self.settings.retention,
                redispatch_after=self.settings.redispatch_after,
                events_of=log_closer(self.event_log),
            )
        for message in messages:
            log.info("job queued again, its worker was lost", extra={"fields": {"job_id": message.job_id}})
        self._publish(messages)
        return self._tell(given_up, "its worker was lost, and no attempt is left") + len(messages)

    def _expire(self) -> int:
        with self.database.transaction() as connection:
            expired = db.expire_queued(connection, limit=BATCH, retention=self.settings.retention)
        return self._tell(expired, "it was not started in time")

    def _tell(self, ended: Ended, why: str) -> int:
        for job_id in ended.job_ids:
            log.info("job failed: %s", why, extra={"fields": {"job_id": job_id}})
        tell(ended, self.doorbell, self.dispatcher)
        return len(ended.job_ids)

    def _queues_due(self) -> list[str]:
        # Mostly none: then neither the broker is asked how much it holds, nor each queue for a batch.
        with self.database.transaction() as connection:
            return db.queues_due(connection, JOB_QUEUES)

    def _redispatch(self, queue: str) -> int:
        """Publish again, a few at a time, until the queue holds enough: what waits in it has not been lost."""
        return in_batches(lambda: self._redispatch_batch(queue), REDISPATCH_BATCH)

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
