"""Reading a job's stream: from the broker while the job runs, from the database afterwards, the same events."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from app.db import lookup
from app.db.engine import Database
from app.domain.errors import InvalidRequestError, NotFoundError, UnavailableError
from app.domain.events import CREATED, FIRST_OUTPUT, IN_PROGRESS, PAGE, QUEUED, unpack
from app.domain.jobs import Job
from app.domain.ports import NOTHING, STATE, Bell, EventLog
from app.domain.requests import JSON
from app.services.jobs import JobService, find
from app.services.waiting import Watch

TICK = 2.0
"""Seconds after which a silent stream yields None, so that its sender can see whether the reader is still there."""


class LeavingError(Exception):
    """The process is about to end; the reader has to go on at another one."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event that tells of the job itself: created, queued, in_progress, and the terminal one."""

    sequence: int
    stage: int | None
    """CREATED, QUEUED or IN_PROGRESS; None for the end."""
    job: Job


@dataclass(frozen=True, slots=True)
class Output:
    """An event of the log, which already has its shape."""

    sequence: int
    event: JSON


StreamEvent = Announcement | Output


@dataclass(frozen=True, slots=True)
class StreamService:
    """Streams for readers; any process can take a stream over from any other."""

    database: Database
    jobs: JobService
    event_log: EventLog
    watch: Watch

    def open(self, api_key_id: UUID, job_id: UUID | None) -> Job:
        """The job whose stream is to be read. Raises NotFoundError, and InvalidRequestError if it has none."""
        job = self.jobs.get(api_key_id, job_id)
        if not job.stream:
            message = "This response was not created with `stream: true`. Poll it, or wait for it with `?wait=`."
            raise InvalidRequestError(message, code="not_a_stream", param="stream")
        return job

    def read(self, job: Job, after: int = -1) -> Iterator[StreamEvent | None]:
        """The events after number `after` until the job has ended, with None every TICK in which nothing happens.

        Raises LeavingError between two events.
        """
        position = after + 1
        with self.watch.listen(job.id) as bell:
            while not self.watch.closed:
                try:
                    now, log = self._look(job)
                except UnavailableError:
                    # The reader has its answer's beginning already: it waits until the database is back.
                    bell.wait(TICK)
                    yield None
                    continue
                except NotFoundError:
                    return
                for event in _announced(now, log, position):
                    yield event
                    position = event.sequence + 1
                if now.status.terminal:
                    # A reader that was there is told of the end, even if the broker lost what it has read.
                    yield from _end(now, log, position if position > after + 1 else 0, after)
                    return
                for output in self._live(now, position, bell):
                    yield output
                    position = output.sequence + 1 if output else position
            raise LeavingError

    def _look(self, job: Job) -> tuple[Job, list[bytes]]:
        """The job as it is now, and its log if it has ended."""
        with self.watch.turn(), self.database.autocommit() as connection:
            now = find(connection, job.api_key_id, job.id)
            return now, unpack(lookup.get_events(connection, job.id)) if now.status.terminal else []

    def _live(self, job: Job, position: int, bell: Bell) -> Iterator[Output | None]:
        """What the running job says from `position` on, until its state changes."""
        rang = NOTHING
        while rang != STATE:
            outputs = self._output(job, max(position, FIRST_OUTPUT)) if job.started_at else []
            yield from outputs
            position = outputs[-1].sequence + 1 if outputs else position
            # Less than a page was all there is, and what comes now rings.
            more = len(outputs) == PAGE
            rang = bell.wait(0 if more else TICK)
            if rang == NOTHING and not more:
                yield None

    def _output(self, job: Job, position: int) -> list[Output]:
        """What the log holds from `position` on. After a gap nothing: the broker lost it, and the worker sends it
        again, or it comes with the end.
        """
        if self.watch.closed:
            return []
        found = enumerate(self.event_log.read(job.id, position - FIRST_OUTPUT), start=position)
        return [Output(at, json.loads(event)) for at, (index, event) in found if index + FIRST_OUTPUT == at]


def _announced(job: Job, log: list[bytes], position: int) -> Iterator[StreamEvent]:
    """The events from `position` on that are known for good."""
    stages = (CREATED, QUEUED, IN_PROGRESS) if job.started_at else (CREATED, QUEUED)
    for stage in stages:
        if stage >= position:
            yield Announcement(stage, stage, job)
    for sequence, event in enumerate(log, start=FIRST_OUTPUT):
        if sequence >= position:
            yield Output(sequence, json.loads(event))


def _end(job: Job, log: list[bytes], at_least: int, after: int) -> Iterator[Announcement]:
    end = max(at_least, FIRST_OUTPUT + len(log) if job.started_at else IN_PROGRESS)
    if end > after:
        yield Announcement(end, None, job)
