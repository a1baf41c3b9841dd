"""Work on many rows, a short transaction at a time."""

import time
from collections.abc import Callable

TIME_BUDGET = 30.0
"""Seconds after which a sweep or a purge leaves the rest to the next one."""


def in_batches(step: Callable[[], int], size: int, *, rest: float = 0) -> int:
    """Repeat `step`, a transaction of up to `size` rows, until one comes back short or the time budget is spent.

    `rest` is how long to pause after each, in times of what it took. Return how many rows it were in all.
    """
    deadline = time.monotonic() + TIME_BUDGET
    total = 0
    while True:
        started_at = time.monotonic()
        moved = step()
        total += moved
        if moved < size or time.monotonic() >= deadline:
            return total
        time.sleep((time.monotonic() - started_at) * rest)
