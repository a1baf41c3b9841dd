"""Tells API processes by pub/sub that something happened to a job: one connection, however many wait."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from redis import Redis, RedisError
from redis.connection import ConnectionInterface

from app.adapters.guard import Guard
from app.adapters.redis_client import TIMEOUT
from app.domain.ports import NOTHING, OUTPUT, STATE

log = logging.getLogger(__name__)

STATE_RING = STATE.encode()
SILENCE = 10.0
"""Seconds without a word from Redis after which it is pinged, and after as many more given up."""
RECONNECT = 1.0
"""Seconds between two tries to connect."""


def channel(job_id: UUID) -> str:
    """The pub/sub channel of one job."""
    return f"simmer:bell:{job_id.hex}"


class RedisBell:
    """One listener's bell."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._what = NOTHING

    def ring(self, what: str) -> None:
        """A change of state outweighs output: who is told of it looks at everything."""
        self._what = what if self._what != STATE else STATE
        self._rung.set()

    def wait(self, timeout: float) -> str:
        """Wait up to `timeout` seconds; what rang since the last call."""
        self._rung.wait(timeout)
        # In this order: what rings in between is taken now, and at worst the next wait returns at once with nothing.
        self._rung.clear()
        what, self._what = self._what, NOTHING
        return what


@dataclass(slots=True)
class _Listeners:
    bells: set[RedisBell] = field(default_factory=set)
    subscribed: threading.Event = field(default_factory=threading.Event)
    missed: bool = False
    """They went on before they were subscribed, and may have missed something: ring once they are."""


class RedisDoorbell:
    """One connection and one thread (a greenlet under gevent) for all listeners of the process."""

    def __init__(self, client: Redis) -> None:
        """Ring and listen through the Redis of `client`; connect when somebody listens first."""
        self._redis = client
        self._guard = Guard(client)
        self._lock = threading.Lock()
        self._listeners: dict[UUID, _Listeners] = {}
        self._connection: ConnectionInterface | None = None
        self._thread: threading.Thread | None = None
        self._down = False

    def ring(self, job_ids: Sequence[UUID]) -> None:
        """Tell every process that the jobs' states changed."""
        if not job_ids:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.publish(channel(job_id), STATE_RING)
        try:
            self._guard.call(pipeline.execute)
        except (RedisError, OSError) as error:
            log.warning("broker unavailable, waiting clients look for themselves: %s", type(error).__name__)

    @contextmanager
    def listen(self, job_id: UUID) -> Iterator[RedisBell]:
        """Listen for the block. If Redis is down the block runs all the same, and nothing rings but `ring_here`."""
        bell = RedisBell()
        listeners = self._add(job_id, bell)
        try:
            # What happens from here on must ring. Without a connection there is nothing to wait for.
            if not (self._connection and listeners.subscribed.wait(TIMEOUT)):
                listeners.missed = True
            yield bell
        finally:
            self._remove(job_id, bell)

    def listened(self) -> list[UUID]:
        """The jobs that somebody in this process listens to."""
        with self._lock:
            return list(self._listeners)

    def ring_here(self, job_id: UUID) -> None:
        """Tell the listeners of this process that the job's state changed."""
        self._ring(job_id, STATE)

    def _add(self, job_id: UUID, bell: RedisBell) -> _Listeners:
        with self._lock:
            first = job_id not in self._listeners
            listeners = self._listeners.setdefault(job_id, _Listeners())
            listeners.bells.add(bell)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                self._thread.start()
            elif first:
                self._send("SUBSCRIBE", channel(job_id))
        return listeners

    def _remove(self, job_id: UUID, bell: RedisBell) -> None:
        with self._lock:
            listeners = self._listeners[job_id]
            listeners.bells.discard(bell)
            if not listeners.bells:
                del self._listeners[job_id]
                self._send("UNSUBSCRIBE", channel(job_id))

    def _send(self, *command: str) -> None:
        """Only with the lock: two greenlets must not write at once. The reader finds out what became of it."""
        if self._connection is None:
            return
        try:
            # Without the library's own check after a long silence: it would read here what is the reader's.
            self._connection.send_command(*command, check_health=False)
        except (RedisError, OSError):
            self._connection = None

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._read_until_broken()
            except (RedisError, OSError) as error:
                if not self._down:
                    log.warning("no news from the broker, waiting clients ask the database: %s", type(error).__name__)
                self._down = True
            except Exception as error:  # noqa: BLE001 - without this thread nobody would be told of anything
                log.error("doorbell failed: %s", type(error).__name__)
            with self._lock:
                self._connection = None
            pause.wait(RECONNECT)

    def _read_until_broken(self) -> None:
        pool = self._redis.connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
        try:
            connection.connect()
            self._down = False
            with self._lock:
                self._connection = connection
                for job_id, listeners in self._listeners.items():
                    listeners.missed = True
                    self._send("SUBSCRIBE", channel(job_id))
            pinged = False
            while self._connection is connection:
                if connection.can_read(timeout=SILENCE):
                    self._hear(connection.read_response(timeout=TIMEOUT))
                    pinged = False
                elif pinged:
                    raise TimeoutError
                else:
                    with self._lock:
                        self._send("PING")
                    pinged = True
        finally:
            connection.disconnect()

    def _hear(self, message: Any) -> None:
        if not isinstance(message, list) or len(message) < 3:
            return
        kind, name, what = message[:3]
        job_id = UUID(hex=name.decode().rpartition(":")[2])
        if kind == b"message":
            self._ring(job_id, STATE if what == STATE_RING else OUTPUT)
        elif kind == b"subscribe" and (listeners := self._listeners.get(job_id)):
            listeners.subscribed.set()
            if listeners.missed:
                listeners.missed = False
                self._ring(job_id, STATE)

    def _ring(self, job_id: UUID, what: str) -> None:
        with self._lock:
            listeners = self._listeners.get(job_id)
            bells = list(listeners.bells) if listeners else []
        for bell in bells:
            bell.ring(what)
