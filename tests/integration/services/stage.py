"""Streams end to end without HTTP: a worker and an API process on a real database and a real Valkey."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.adapters.events import RedisEventLog
from app.adapters.redis_client import redis_client
from app.db.engine import Database
from app.domain.deltas import TextDelta
from app.domain.events import unpack
from app.domain.jobs import Job
from app.services.jobs import JobService
from app.services.streams import Announcement, StreamEvent, StreamService
from app.services.waiting import Watch
from app.settings import Settings
from tests import rows
from tests.doorbells import process_doorbell
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.owners import job_service
from tests.integration.services.worker import Piece, Script, Worker
from tests.processes import wait_until

DEADLINE = 30.0
WORKER = Settings(retry_backoff=0.01, lease=60, retention=3600, stream_window=0)


def seen(event: StreamEvent) -> tuple[int, Any]:
    """The event's number, and what it says: the stage, how the job ended, or the output."""
    if isinstance(event, Announcement):
        return event.sequence, event.job.status.value if event.stage is None else event.stage
    return event.sequence, event.event


def texts(events: list[tuple[int, Any]]) -> str:
    """All deltas of the text, put together."""
    return "".join(said.get("delta", "") for _, said in events if isinstance(said, dict))


@dataclass
class Reader:
    """Reads a stream in a thread of its own."""

    events: list[tuple[int, Any]] = field(default_factory=list)
    silences: int = 0
    error: Exception | None = None

    def start(self, stream: Iterator[StreamEvent | None]) -> "Reader":
        self._thread = threading.Thread(target=self._run, args=[stream], daemon=True)
        self._thread.start()
        return self

    def until(self, text: str) -> None:
        wait_until(lambda: texts(self.events) == text, DEADLINE, f"{text!r}")

    def whole(self) -> list[tuple[int, Any]]:
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), f"the stream does not end, after {self.events[-1:]}"
        assert self.error is None
        return self.events

    def _run(self, stream: Iterator[StreamEvent | None]) -> None:
        try:
            for event in stream:
                if event:
                    self.events.append(seen(event))
                else:
                    self.silences += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the test that reads must see it
            self.error = error


class Stage:
    """`worker` runs what its script says; readers ask an API process with connections of its own."""

    def __init__(self, database: Database, owner: UUID, broker_url: str, readers: Database | None = None) -> None:
        self.owner = owner
        self._stack = ExitStack()
        self.client = redis_client(Settings(broker_url=broker_url))
        parts = self._stack.enter_context(process_doorbell(broker_url)), RedisEventLog(self.client)
        self.worker = Worker(database, Script(), RecordingDispatcher(), WORKER, *parts)
        self.jobs, self.streams = self.process(broker_url, readers or database)

    def process(self, broker_url: str, database: Database) -> tuple[JobService, StreamService]:
        """One more API process."""
        doorbell = self._stack.enter_context(process_doorbell(broker_url))
        event_log = RedisEventLog(redis_client(Settings(broker_url=broker_url)))
        jobs = job_service(database, doorbell=doorbell, event_log=event_log)
        return jobs, StreamService(database, jobs, event_log, Watch(database, doorbell, interval=5))

    def close(self) -> None:
        """End the processes."""
        self._stack.close()

    def submit(self, **columns: Any) -> UUID:
        with self.worker.database.transaction() as connection:
            return rows.put(connection, self.owner, stream=True, **columns)

    def run(self, job_id: UUID, *pieces: Piece, endless: Iterator[Piece] | None = None) -> threading.Thread:
        """Have the worker run the job, in a thread."""
        self.worker.script.streams.append(endless or pieces)
        thread = threading.Thread(target=self.worker.perform, args=[job_id], daemon=True)
        thread.start()
        return thread

    def stream(self, job_id: UUID, after: int = -1) -> Iterator[StreamEvent | None]:
        return self.streams.read(self.streams.open(self.owner, job_id), after)

    def reader(self, job_id: UUID, after: int = -1) -> Reader:
        return Reader().start(self.stream(job_id, after))

    def read(self, job_id: UUID, after: int = -1) -> list[tuple[int, Any]]:
        """The whole stream, at once: for a job that has ended."""
        job: Job = self.streams.open(self.owner, job_id)
        assert job.status.terminal
        return [seen(event) for event in self.streams.read(job, after) if event]


def kept(row: Any) -> str:
    """The text of the log that is kept with a job's row."""
    return "".join(json.loads(event).get("delta", "") for event in unpack(row.events))


def words(*said: str) -> list[TextDelta]:
    return [TextDelta(word) for word in said]
