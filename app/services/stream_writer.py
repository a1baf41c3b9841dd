"""The worker's side of streams: each job's log in memory, and one thread that publishes what is new in all of them."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.domain.events import encode, merge, pack
from app.domain.ports import EventLog
from app.domain.requests import JSON

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds after which events are sent again that the broker did not take, if no new one comes before."""
STREAMS_PER_WINDOW = 50
"""Streams with news at once for which the window grows by itself once more."""
MAX_WINDOWS = 5
"""Times the window, at most."""
BATCH = 100
"""Logs that are published in one round trip."""


@dataclass
class StreamWriter:
    """One job's whole log. Deltas that come while the publisher is busy are merged into one event."""

    job_id: UUID
    forgotten: bool = False
    """Nobody publishes it any more."""
    _encoded: list[bytes] = field(default_factory=list)
    """Published, or about to be: they never change any more."""
    _new: list[JSON] = field(default_factory=list)
    _held: int = 0
    """How many events the event log is known to hold."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, events: Sequence[JSON]) -> None:
        """Add events; a delta may go into the one before it."""
        with self._lock:
            for event in events:
                if not (self._new and merge(self._new[-1], event)):
                    self._new.append(event)

    def take(self) -> tuple[int, Sequence[bytes]]:
        """What the event log does not hold yet, and its first index."""
        with self._lock:
            self._encoded += map(encode, self._new)
            self._new.clear()
            return self._held, self._encoded[self._held :]

    def confirm(self, held: int) -> bool:
        """Note how many events the event log holds; whether that is all of them."""
        self._held = held
        return held >= len(self._encoded)

    def packed(self) -> bytes:
        """The whole log, as it is kept with the job."""
        self.take()
        return pack(self._encoded)


@dataclass
class StreamPublisher:
    """Publishes at once when it is idle, and else gathers for `window` seconds, and for longer when many streams have
    something to say: the load sets the pace.
    """

    event_log: EventLog
    window: float
    _dirty: dict[UUID, StreamWriter] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def add(self, writer: StreamWriter, events: Sequence[JSON]) -> None:
        """Add events to a log and have them published."""
        writer.add(events)
        with self._lock:
            self._dirty[writer.job_id] = writer
            if self._thread is None:
                # Under gevent this is a greenlet, under prefork a thread of the child.
                self._thread = threading.Thread(target=self._run, name="stream-publisher", daemon=True)
                self._thread.start()
        self._wake.set()

    def forget(self, writer: StreamWriter) -> None:
        """Publish no more of this log: its job has ended, or is another's."""
        with self._lock:
            writer.forgotten = True
            if self._dirty.get(writer.job_id) is writer:
                del self._dirty[writer.job_id]

    def _run(self) -> None:
        while True:
            self._wake.wait(RETRY if self._dirty else None)
            self._wake.clear()
            streams = len(self._dirty)
            try:
                self._publish()
            except Exception as error:  # noqa: BLE001 - one bad round must not silence all streams of the process
                log.error("publishing streams failed: %s", type(error).__name__)
            # Each event costs its readers a look at the log: a few streams get many small ones, many get fewer.
            time.sleep(self.window * min(MAX_WINDOWS, 1 + streams / STREAMS_PER_WINDOW))

    def _publish(self) -> None:
        with self._lock:
            writers, self._dirty = list(self._dirty.values()), {}
        for start in range(0, len(writers), BATCH):
            self._publish_batch(writers[start : start + BATCH])

    def _publish_batch(self, writers: Sequence[StreamWriter]) -> None:
        held = self.event_log.append([(writer.job_id, *writer.take()) for writer in writers])
        for writer in writers:
            count = held.get(writer.job_id)
            if count is None:
                # The broker is away, or the log is closed and the job's end on its way here.
                self._put_back(writer)
            elif not writer.confirm(count):
                # Fewer than were sent: the broker lost its memory, and gets everything again.
                self._put_back(writer)
                self._wake.set()

    def _put_back(self, writer: StreamWriter) -> None:
        with self._lock:
            if not writer.forgotten:
                self._dirty.setdefault(writer.job_id, writer)
