"""The way to a Redis that may be down, frozen or just busy."""

import threading
from collections.abc import Callable
from typing import TypeVar

from redis import Redis, RedisError

from app.adapters.breaker import Breaker

T = TypeVar("T")

PATIENCE = 15.0
"""Seconds that one call waits for its turn."""


class Guard:
    """Lets no more callers through at once than there are connections: a pool that has none left for half a second
    looks like a broker that is down. While the broker is down, nobody waits for it but the first.
    """

    def __init__(self, client: Redis) -> None:
        """Use half of the client's connections: event log and doorbell share it."""
        self._breaker = Breaker()
        self._turns = threading.BoundedSemaphore(max(1, client.connection_pool.max_connections // 2))

    def call(self, command: Callable[[], T]) -> T | None:
        """The command's result; None if it was not worth a try. Raises RedisError or OSError if it failed."""
        if not self._breaker.closed or not self._turns.acquire(timeout=PATIENCE):
            return None
        try:
            return self._try(command)
        finally:
            self._turns.release()

    def _try(self, command: Callable[[], T]) -> T | None:
        # Looked at again: whoever had the turn before may have waited in vain.
        if not self._breaker.closed:
            return None
        try:
            return command()
        except (RedisError, OSError):
            self._breaker.trip()
            raise
