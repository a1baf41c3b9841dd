"""A circuit breaker in front of something that may be down, so that only the first callers wait for its timeout."""

import time
from collections.abc import Callable


class Breaker:
    """Closed while calls go well; once tripped it stays open for `pause` seconds, then lets calls through again."""

    def __init__(self, pause: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Start closed."""
        self._pause = pause
        self._clock = clock
        self._open_until = 0.0

    @property
    def closed(self) -> bool:
        """Whether a call is worth trying."""
        return self._clock() >= self._open_until

    def trip(self) -> None:
        """Note a failure."""
        self._open_until = self._clock() + self._pause
