"""Running jobs' output events, in Redis streams: entry `i+1` of a stream is the log's event `i`."""

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any
from uuid import UUID

from redis import Redis, RedisError
from redis.client import Pipeline

from app.adapters.doorbell import channel
from app.adapters.guard import Guard
from app.domain.encryption import PREFIX, NoSealer, SealedError
from app.domain.events import PAGE
from app.domain.ports import Sealer

log = logging.getLogger(__name__)

LIFETIME = 7200
"""Seconds after its last event at which a log is dropped: longer than any job may run."""
AFTERLIFE = 60
"""Seconds for which a log outlives its job, for readers who are in the middle of it."""
BATCH = 100
"""Reads that share a round trip at most."""
_CLOSED = 2**53
"""The entry that closes a log: Redis refuses entries with lower ids than the last. Exact in Lua's numbers."""
_SEALED = PREFIX.encode()

# One script, for what must not be torn apart: nothing is added to a closed log, and nothing after a gap.
_APPEND = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local held = 0
if #last > 0 then held = tonumber(string.match(last[1][1], '^%d+')) end
local start = tonumber(ARGV[1])
if held ~= start then return held end
for i = 4, #ARGV do
    held = held + 1
    redis.call('XADD', KEYS[1], held .. '-0', 'e', ARGV[i])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], 'output')
return held
"""


def _key(job_id: UUID) -> str:
    return f"simmer:events:{job_id.hex}"


@dataclass(slots=True)
class _Read:
    """A reader's wish, and what became of it."""

    job_id: UUID
    start: int
    entries: Any = None
    """None also if the broker did not answer."""
    done: bool = False


class RedisEventLog:
    """The broker being down, frozen or full costs a log line: readers then get their events when the job has ended."""

    def __init__(self, client: Redis, sealer: Sealer | None = None) -> None:
        """Keep the logs where `client` points to, each event sealed by `sealer`."""
        self._redis = client
        self._sealer = sealer or NoSealer()
        self._guard = Guard(client)
        self._wanted: list[_Read] = []
        self._reading = threading.Lock()

    def append(self, batch: Sequence[tuple[UUID, int, Sequence[bytes]]]) -> dict[UUID, int]:
        """Add to several logs in one round trip; how many events each holds now, those left out that take none."""
        pipeline = self._redis.pipeline(transaction=False)
        for job_id, start, events in batch:
            stored = self._sealed(job_id, start, events)
            pipeline.eval(_APPEND, 1, _key(job_id), start, LIFETIME, channel(job_id), *stored)
        held = self._try(lambda: pipeline.execute(raise_on_error=False)) or []
        counts = zip((job_id for job_id, _, _ in batch), held, strict=False)
        return {job_id: count for job_id, count in counts if isinstance(count, int) and count < _CLOSED}

    def read(self, job_id: UUID, start: int) -> list[tuple[int, bytes]]:
        """Up to PAGE events from index `start` on."""
        read = _Read(job_id, start)
        self._wanted.append(read)
        # One flush of a worker rings for many readers: who comes while others read goes with the next round trip.
        while not read.done:
            with self._reading:
                if not read.done:
                    self._read_wanted()
        entries = read.entries if isinstance(read.entries, list) else []
        return [(index, event) for index, event in self._opened(job_id, entries) if index < _CLOSED - 1]

    def close(self, job_id: UUID) -> list[bytes]:
        """Let the log take no more, and return what it held."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.xrange(_key(job_id))
        _shut(pipeline, job_id)
        replies = self._try(lambda: pipeline.execute(raise_on_error=False))
        entries = replies[0] if replies and isinstance(replies[0], list) else []
        held = enumerate(self._opened(job_id, entries))
        return [event for _, (_, event) in takewhile(lambda pair: pair[0] == pair[1][0], held)]

    def release(self, job_id: UUID) -> None:
        """Let the log, which is kept with the job now, take nothing that comes late, and drop it soon."""
        pipeline = self._redis.pipeline(transaction=True)
        _shut(pipeline, job_id)
        self._try(lambda: pipeline.execute(raise_on_error=False))

    def _read_wanted(self) -> None:
        """One round trip for up to BATCH readers; only with the lock."""
        reads = self._wanted[:BATCH]
        del self._wanted[: len(reads)]
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for read in reads:
                pipeline.xrange(_key(read.job_id), min=f"{read.start + 1}-0", count=PAGE)
            found = self._try(lambda: pipeline.execute(raise_on_error=False)) or []
            for read, entries in zip(reads, found, strict=False):
                read.entries = entries
        finally:
            # Also if this reader is killed in the middle: the others then look again when it rings next.
            for read in reads:
                read.done = True

    def _sealed(self, job_id: UUID, start: int, events: Sequence[bytes]) -> Sequence[bytes | str]:
        if self._sealer.current is None:
            return events
        return [self._sealer.seal(event, job_id, _place(index)) for index, event in enumerate(events, start)]

    def _opened(self, job_id: UUID, entries: Iterable[Any]) -> Iterator[tuple[int, bytes]]:
        """The entries' indices and events, up to one that does not open: the rest is as good as lost."""
        for index, event in map(_event, entries):
            try:
                plain = self._sealer.open(event.decode(), job_id, _place(index)) if event.startswith(_SEALED) else event
            except SealedError:
                return
            yield index, plain

    def _try(self, command: Any) -> Any:
        try:
            return self._guard.call(command)
        except (RedisError, OSError) as error:
            log.warning("broker unavailable, streams are delayed: %s", type(error).__name__)
            return None


def _place(index: int) -> str:
    return f"event {index}"


def _shut(pipeline: Pipeline, job_id: UUID) -> None:
    # An error of XADD alone: somebody shut it before.
    pipeline.xadd(_key(job_id), {"e": b""}, id=f"{_CLOSED}-0")
    pipeline.expire(_key(job_id), AFTERLIFE)


def _event(entry: Any) -> tuple[int, bytes]:
    entry_id, fields = entry
    return int(entry_id.partition(b"-")[0]) - 1, fields[b"e"]
