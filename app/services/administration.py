"""What an administrator does with the jobs of all keys: look, cancel, have one run again, follow one."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

from app.db import administration as db
from app.db import endings, lookup
from app.db.administration import Content, JobQuery, JobRecord
from app.db.engine import Database
from app.db.jobs import jobs
from app.domain.encryption import SealedError
from app.domain.errors import IllegalMoveError, NotFoundError, UnavailableError
from app.domain.events import PAGE, log_closer, unpack
from app.domain.lifecycle import Status
from app.domain.ports import Dispatcher, Doorbell, EventLog
from app.domain.requests import JSON
from app.services.news import tell
from app.settings import Settings

log = logging.getLogger(__name__)

TICK = 1.0
"""Seconds after which somebody who follows a job looks at it again, though nothing rang."""
HEARTBEAT_SLACK = 1.0
"""Seconds after a heartbeat was due by which it has had its effect."""


@dataclass(frozen=True, slots=True)
class Requeued:
    """A job that waits for a worker again. `sent` is whether its message is on its way; else the sweep sends it."""

    job: JobRecord
    taken_from: str | None
    """The worker that had it."""
    sent: bool


@dataclass(frozen=True, slots=True)
class AdministrationService:
    """Asks nobody's leave: whoever may use the database may do all of this."""

    database: Database
    dispatcher: Dispatcher
    doorbell: Doorbell
    event_log: EventLog
    settings: Settings

    def page(self, wanted: JobQuery) -> list[JobRecord]:
        """The newest jobs that match."""
        with self.database.transaction() as connection:
            return db.page(connection, wanted)

    def get(self, job_id: UUID) -> JobRecord:
        """The job. Raises NotFoundError."""
        with self.database.autocommit() as connection:
            job = db.get(connection, job_id)
        if job is None:
            raise NotFoundError("There is no such job. Its result may have expired.")
        return job

    def content(self, job_id: UUID) -> Content:
        """Prompt and result. Raises NotFoundError, and SealedError if their key is not set here."""
        with self.database.autocommit() as connection:
            content = db.content(connection, job_id)
        if content is None:
            raise NotFoundError("There is no such job. Its result may have expired.")
        return content

    def cancel(self, job_id: UUID) -> JobRecord:
        """End a queued or running job of any mode, and stop its worker; a cancelled job is returned as it is.

        Raises NotFoundError, and IllegalMoveError for a job that completed or failed.
        """
        this = jobs.id == job_id
        with self.database.transaction() as connection:
            endings.keep_events(connection, this, events_of=log_closer(self.event_log))
            cancelled = endings.cancel(connection, this, retention=self.settings.retention)
        if cancelled:
            was, ended = cancelled
            log.info("job cancelled by an administrator", extra={"fields": {"job_id": job_id}})
            tell(ended, self.doorbell, self.dispatcher)
            if was.worker:
                self.dispatcher.abort(job_id, was.worker)
        job = self.get(job_id)
        if job.status is not Status.CANCELLED:
            raise IllegalMoveError(f"The job is {job.status}, which is final: there is nothing to cancel.")
        return job

    def requeue(self, job_id: UUID) -> Requeued:
        """Take a running job from its worker and queue it again, or send a queued job's message again.

        What the worker still writes comes to nothing.
        Raises NotFoundError, and IllegalMoveError for a job that has ended or can't be run again.
        """
        before = self.get(job_id)
        queued = before.status is Status.QUEUED
        again = db.publish_again if queued else db.take_from_worker
        # The worker has to notice first, with its next heartbeat: it might take the job anew, and keep both tries.
        pause = self.settings.redispatch_after if queued else self.settings.heartbeat_interval + HEARTBEAT_SLACK
        with self.database.transaction() as connection:
            message = again(connection, job_id, redispatch_after=pause)
        if message is None:
            _refuse(self.get(job_id))
        log.info("job requeued by an administrator", extra={"fields": {"job_id": job_id}})
        self.doorbell.ring([job_id])
        sent = queued and self.dispatcher.dispatch(message)
        return Requeued(self.get(job_id), before.worker, sent)

    def follow(self, job_id: UUID) -> Iterator[JobRecord | JSON]:
        """The job whenever its state changes, and the events of its stream as they come, until it has ended.

        Raises NotFoundError. An outage of the database in the middle is waited out.
        """
        last: JobRecord | None = None
        shown = 0
        with self.doorbell.listen(job_id) as bell:
            while True:
                try:
                    job = self.get(job_id)
                    events = self._events(job, shown)
                except UnavailableError as error:
                    if last is None or isinstance(error, SealedError):
                        raise
                    bell.wait(TICK)
                    continue
                changed = last is None or (job.status, job.attempt) != (last.status, last.attempt)
                if changed and not job.status.terminal:
                    yield job
                yield from events
                if job.status.terminal:
                    yield job
                    return
                last, shown = job, shown + len(events)
                # Less than a page was all there is, and what comes now rings.
                bell.wait(0 if len(events) == PAGE else TICK)

    def _events(self, job: JobRecord, start: int) -> list[JSON]:
        """The events from number `start` on: what is there of them now, or of a job that has ended all."""
        if not job.stream:
            return []
        if not job.status.terminal:
            read = enumerate(self.event_log.read(job.id, start), start=start)
            return [json.loads(event) for at, (index, event) in read if index == at]
        with self.database.autocommit() as connection:
            return [json.loads(event) for event in unpack(lookup.get_events(connection, job.id))[start:]]


def _refuse(job: JobRecord) -> NoReturn:
    if job.status.terminal:
        raise IllegalMoveError(
            f"The job is {job.status}, which is final. To run it again its owner submits the request as a new job."
        )
    if job.streamed:
        raise IllegalMoveError(
            "A reader may have seen output of this job, so it can't start over. Cancel it, or let it end."
        )
    if job.attempt >= job.max_attempts:
        raise IllegalMoveError("The job is in its last attempt. Let it end, or cancel it.")
    raise IllegalMoveError("The job moved at this very moment. Look at it, and try again.")
