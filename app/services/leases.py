"""The jobs that this process holds, and the heartbeat that keeps them."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from app.db import jobs as db
from app.db.engine import Database
from app.domain.errors import UnavailableError
from app.domain.jobs import Claim
from app.services.stream_writer import StreamWriter

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds after which a heartbeat waits in vain for the database: a process that has just woken up asks first."""


@dataclass(slots=True)
class Lease:
    """One held job. `claim` is replaced when the worker starts a further attempt."""

    claim: Claim
    abort: Callable[[], object]
    """Ends the job's task; called once, when the job is no longer this worker's."""
    valid_until: float
    """On the monotonic clock. Counted from before the statement that extended it was sent, so that this
    worker gives a job up before the database's clock gives it to another."""
    advancing: bool = False
    """While the next attempt is being counted: the row may be ahead of `claim`, and not matching it means nothing."""
    stream: StreamWriter | None = None
    """The log of a job that streams."""
    streamed: bool = False
    """Whether the row says that output has reached readers."""


@dataclass(slots=True)
class Leases:
    """Held jobs by id. One statement extends them all; whoever is not in its answer is aborted."""

    database: Database
    duration: float
    clock: Callable[[], float] = time.monotonic
    _held: dict[UUID, Lease] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked_at: float | None = None
    """Since when a heartbeat waits for the database."""
    _failed: bool = False
    """The database did not answer when it was last asked."""

    @property
    def database_answers(self) -> bool:
        """Whether it does, as far as is known. A worker that is cut off from it must take no messages: of each it would
        find out after a while that it can't claim the job, which no other worker hears of meanwhile.
        """
        return not self._failed and not self._waits_in_vain()

    def note_failure(self) -> None:
        """A claim failed. Until a heartbeat succeeds there should be no other."""
        self._failed = True

    def hold(self, claim: Claim, abort: Callable[[], object], *, claimed_at: float) -> Lease:
        """Start to keep a job that was claimed at `claimed_at` (monotonic)."""
        lease = Lease(claim, abort, claimed_at + self.duration)
        with self._lock:
            self._held[claim.job_id] = lease
        return lease

    def release(self, lease: Lease) -> None:
        """Stop to keep it. The same job may be held anew by now; that lease stays."""
        with self._lock:
            if self._held.get(lease.claim.job_id) is lease:
                del self._held[lease.claim.job_id]

    def expired(self, lease: Lease) -> bool:
        """Whether another worker may have the job by now."""
        return self.clock() >= lease.valid_until

    def beat(self) -> None:
        """Extend all leases, and abort the tasks of jobs that were cancelled, taken away, or could not be extended."""
        sent_at = self.clock()
        with self._lock:
            sent = [(lease, lease.claim.fence) for lease in self._held.values()]
        if not sent and not self._failed:
            return
        self._asked_at = sent_at
        try:
            with self.database.autocommit() as connection:
                own = db.extend_leases(connection, [fence for _, fence in sent], lease=self.duration)
        except UnavailableError:
            self._failed = True
            self._abort([lease for lease, _ in sent if self.expired(lease)], "its lease could not be extended")
            return
        finally:
            self._asked_at = None
        self._failed = False
        for lease, (job_id, _) in sent:
            if job_id in own:
                lease.valid_until = sent_at + self.duration
        self._abort([lease for lease, fence in sent if _lost(lease, fence, own)], "it was cancelled or taken away")

    def give_up(self) -> None:
        """Abort the tasks of jobs whose leases ran out while a heartbeat waits for a database that does not answer.

        Call it from another thread or greenlet than `beat`, which a connection that has gone dumb can hold for long.
        """
        if not self._waits_in_vain():
            return
        with self._lock:
            over = [lease for lease in self._held.values() if self.expired(lease)]
        self._abort(over, "its lease could not be extended")

    def _waits_in_vain(self) -> bool:
        asked_at = self._asked_at
        return asked_at is not None and self.clock() - asked_at >= PATIENCE

    def _abort(self, leases: list[Lease], why: str) -> None:
        for lease in leases:
            with self._lock:
                if self._held.get(lease.claim.job_id) is not lease:
                    # It was settled or released while the statement ran; the job may be held anew, and stays so.
                    continue
                del self._held[lease.claim.job_id]
            log.warning("job aborted: %s", why, extra={"fields": {"job_id": lease.claim.job_id}})
            lease.abort()


def _lost(lease: Lease, sent: tuple[UUID, int], own: set[UUID]) -> bool:
    # A fence that changed, or is just changing, is this worker's own next attempt.
    return sent[0] not in own and not lease.advancing and lease.claim.fence == sent
