"""Waiting for jobs: thousands of clients wait on one subscription, and share the way to the database."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from app.db import lookup
from app.db.engine import Database
from app.domain.errors import UnavailableError
from app.domain.jobs import Job
from app.domain.lifecycle import Status
from app.domain.ports import STATE, Bell, Doorbell
from app.services.jobs import JobService

log = logging.getLogger(__name__)

BATCH = 1000
"""Jobs that one statement asks for."""
READERS = 4
"""Waiters of one process that read the database at once: when thousands wake together they take turns, and leave
connections to the requests that come in meanwhile."""
OUTAGE_PAUSE = 1.0
"""Seconds after which a waiter asks a database again that did not answer."""
TURN_TIMEOUT = 30.0
"""Seconds that a waiter waits for its turn."""


@dataclass
class Watch:
    """Listens to jobs. The doorbell tells of a change at once; what it misses is found by asking for all jobs that
    this process listens to in one statement, every `interval` seconds.
    """

    database: Database
    doorbell: Doorbell
    interval: float
    leaving: bool = False
    """Whoever waits is answered at once, with what is known."""
    closed: bool = False
    """Streams and synchronous requests end as well."""
    _seen: dict[UUID, Status] = field(default_factory=dict)
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _turns: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(READERS))

    @contextmanager
    def listen(self, job_id: UUID) -> Iterator[Bell]:
        """Listen for the block: whatever happens to the job after it was entered rings, sooner or later."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()
        with self.doorbell.listen(job_id) as bell:
            yield bell

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A waiter's turn to read the database. Raises UnavailableError if it does not come."""
        if not self._turns.acquire(timeout=TURN_TIMEOUT):
            raise UnavailableError("The service is too busy to read the response. Ask for it again.")
        try:
            yield
        finally:
            self._turns.release()

    def leave(self) -> None:
        """The process is about to end: answer those who can ask another one."""
        if not self.leaving:
            self.leaving = True
            self._ring_all()

    def close(self) -> None:
        """It ends now."""
        if not self.closed:
            self.leaving = self.closed = True
            self._ring_all()

    def look(self) -> None:
        """Ring for the jobs whose status is not the one that was seen last."""
        listened = self.doorbell.listened()
        now: dict[UUID, Status] = {}
        for start in range(0, len(listened), BATCH):
            with self.database.autocommit() as connection:
                now |= lookup.statuses(connection, listened[start : start + BATCH])
        for job_id in listened:
            # One that is gone rings as well; one seen for the first time may have changed before it was listened to.
            if now.get(job_id) != self._seen.get(job_id, Status.QUEUED):
                self.doorbell.ring_here(job_id)
        self._seen = now

    def _ring_all(self) -> None:
        for job_id in self.doorbell.listened():
            self.doorbell.ring_here(job_id)

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(self.interval):
            try:
                self.look()
            except UnavailableError:
                log.warning("database unavailable, waiting clients are told later")
            except Exception as error:  # noqa: BLE001 - without this thread a lost ring would be lost for good
                log.error("watch failed: %s", type(error).__name__)


@dataclass(frozen=True, slots=True)
class WaitService:
    """Waits on behalf of one client."""

    jobs: JobService
    watch: Watch

    def until_ended(self, api_key_id: UUID, job_id: UUID, timeout: float, *, on_the_line: bool = False) -> Job:
        """The job as soon as it has ended, or as it is after `timeout` seconds, or when this process leaves.

        `on_the_line`: the client can't ask again, and is kept until the process ends.
        Raises NotFoundError, and UnavailableError if the database is down; an outage in the middle is waited out.
        """
        deadline = time.monotonic() + timeout
        job: Job | None = None
        with self.watch.listen(job_id) as bell:
            while True:
                try:
                    with self.watch.turn():
                        job = self.jobs.get(api_key_id, job_id)
                except UnavailableError:
                    if job is None or time.monotonic() >= deadline:
                        raise
                    bell.wait(OUTAGE_PAUSE)
                    continue
                over = self.watch.closed if on_the_line else self.watch.leaving
                if job.status.terminal or over or not _rings(bell, deadline):
                    return job


def _rings(bell: Bell, deadline: float) -> bool:
    """Wait for a change of state; False if the deadline comes first."""
    while (remaining := deadline - time.monotonic()) > 0:
        if bell.wait(remaining) == STATE:
            return True
    return False
