"""Turns at the database's connections, in the order in which they were asked for."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class TurnTimeoutError(Exception):
    """Nobody gave a turn back in time."""


class Turns:
    """As many turns as there are connections. A turn that is given back goes straight to who has waited longest.

    SQLAlchemy's pool only wakes the waiting, and whoever asks in the same moment is faster: a request that goes from
    one transaction to the next takes its connection with it, and on a busy process others wait in vain until their
    time is up.
    """

    def __init__(self, number: int) -> None:
        self._number = self._free = number
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many are held at this moment."""
        return self._number - self._free

    @contextmanager
    def turn(self, timeout: float) -> Iterator[None]:
        """Hold one turn for the block. Raises TurnTimeoutError after `timeout` seconds."""
        self._take(timeout)
        try:
            yield
        finally:
            self._give_back()

    def _take(self, timeout: float) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            handed_over = threading.Lock()
            handed_over.acquire()
            self._waiting.append(handed_over)
        try:
            if not handed_over.acquire(timeout=timeout):
                raise TurnTimeoutError
        except BaseException:
            # Also when a time limit or an abort strikes a worker's task that waits here.
            self._leave(handed_over)
            raise

    def _leave(self, handed_over: threading.Lock) -> None:
        with self._lock:
            if handed_over in self._waiting:
                self._waiting.remove(handed_over)
                return
        # It was handed over in the last moment.
        self._give_back()

    def _give_back(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
