"""How often the tasks of beat are worth doing, judged by the clock of the process that does them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Pace:
    """Of the messages that an outage has piled up, and of those of two beats, one is enough."""

    clock: Callable[[], float] = time.monotonic
    _begun_at: dict[str, float] = field(default_factory=dict)

    def due(self, task: str, interval: float) -> bool:
        """Whether to begin: not if this process did so less than half an interval (seconds) ago."""
        now = self.clock()
        begun_at = self._begun_at.get(task)
        if begun_at is not None and now - begun_at < interval / 2:
            return False
        self._begun_at[task] = now
        return True
