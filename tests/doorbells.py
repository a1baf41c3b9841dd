"""Doorbells that end with their test: a process's own listens, and complains of a broker that is gone, for ever."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from app.adapters.doorbell import RedisDoorbell
from app.adapters.redis_client import redis_client
from app.settings import Settings


@contextmanager
def process_doorbell(broker_url: str) -> Iterator[RedisDoorbell]:
    """The doorbell of one more process, on connections of its own."""
    made = _Mortal(redis_client(Settings(broker_url=broker_url)))
    try:
        yield made
    finally:
        made.end()


class _Mortal(RedisDoorbell):
    _over = False

    def end(self) -> None:
        self._over = True
        connection, self._connection = self._connection, None
        if connection:
            connection.disconnect()
        self._redis.connection_pool.disconnect()

    def _run(self) -> None:
        with suppress(SystemExit):
            super()._run()

    def _read_until_broken(self) -> None:
        if self._over:
            raise SystemExit
        try:
            super()._read_until_broken()
        except Exception:
            if self._over:
                raise SystemExit from None
            raise
