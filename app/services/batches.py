"""Work on many rows, a short transaction at a time."""

import time
from collections.abc import Callable
from datetime import datetime
from math import inf
from typing import Protocol

from sqlalchemy import Connection

from app.db.engine import Database
from app.db.purging import Purged

TIME_BUDGET = 30.0
"""Seconds after which a sweep or a purge leaves the rest to the next one."""
PURGE_REST = 4.0
"""Times what a batch of the purge took, for which the database is left to others: nobody waits for a purge. A fifth of
the time still deletes some ten thousand rows a second, more than come in.
"""


class Purge(Protocol):
    """Deletes one batch of what has expired, the longest expired first, beginning with what expired at `since`."""

    def __call__(self, connection: Connection, *, limit: int, since: datetime | None = None) -> Purged:
        """Delete up to `limit`."""
        ...


def in_batches(
    step: Callable[[], int], size: int, *, budget: float = TIME_BUDGET, most: float = inf, rest: float = 0
) -> int:
    """Repeat `step`, a transaction of up to `size` rows, until one comes back short, the time budget is spent, or it
    were `most` rows or more. `rest` is how long to pause after each, in times of what it took.

    Return how many rows it were in all.
    """
    deadline = time.monotonic() + budget
    total = 0
    while True:
        started_at = time.monotonic()
        moved = step()
        total += moved
        if moved < size or total >= most or time.monotonic() >= deadline:
            return total
        time.sleep((time.monotonic() - started_at) * rest)


def purge_in_batches(database: Database, purge: Purge, size: int) -> int:
    """Have `purge` delete all that has expired, each batch from where the last one ended; return how many."""
    last: datetime | None = None

    def batch() -> int:
        nonlocal last
        with database.autocommit() as connection:
            deleted, last = purge(connection, limit=size, since=last)
        return deleted

    return in_batches(batch, size, rest=PURGE_REST)
