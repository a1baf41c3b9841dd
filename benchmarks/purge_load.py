"""The load of `benchmarks.purge`, and how far the purge was at which moment of it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg

from benchmarks.backpressure import creates
from benchmarks.open_loop import Generator

BUSY = 0.4
"""Creates that leave, as a part of those that the API could answer: it shares two cores with all the others."""
CLIENTS, CAPACITY_SECONDS = 8, 4.0
CONNECTIONS = 32
WINDOW = 2.0
"""Seconds of the load that lie within a purge as a whole, or outside of any, or are not counted."""
CALM_AFTER = 6
"""Windows after the last row is gone."""
SAMPLE_EVERY = 0.1
PAUSE = 2.0
"""Seconds without a row gone, after which a purge is taken to have paused."""
PARTS = 4

_OLDEST = "SELECT extract(epoch FROM min(expires_at))::float FROM jobs WHERE expires_at <= now()"


class Progress(NamedTuple):
    """How many rows were gone at what time."""

    at: float
    purged: int


class Window(NamedTuple):
    """Some seconds of the load: how many milliseconds creates took."""

    begun_at: float
    ended_at: float
    took: Sequence[float]
    refused: int


@dataclass(frozen=True, slots=True)
class Watched:
    """What the load found, and the purge's progress meanwhile."""

    rate: float
    """Creates a second."""
    windows: Sequence[Window]
    progress: Sequence[Progress]

    def windows_of(self, *, purging: bool) -> list[Window]:
        """Those that lie within a purge, or outside of any."""
        return [window for window in self.windows if self._purging(window) is purging]

    def costs(self) -> list[float]:
        """Milliseconds for a thousand rows, in each quarter of the rows."""
        steps = [after for before, after in pairwise(self.progress) if after.purged > before.purged]
        spent, rows = [0.0] * PARTS, [0] * PARTS
        for before, after in pairwise(steps):
            if after.at - before.at < PAUSE:
                part = before.purged * PARTS // (self.progress[-1].purged + 1)
                spent[part] += after.at - before.at
                rows[part] += after.purged - before.purged
        return [seconds * 1e6 / count for seconds, count in zip(spent, rows, strict=True)]

    def _purging(self, window: Window) -> bool | None:
        """None for one in which a purge begins or ends."""
        gone = [one.purged for one in self.progress if window.begun_at <= one.at <= window.ended_at]
        marks = [gone[(len(gone) - 1) * part // PARTS] for part in range(PARTS + 1)]
        moved = {after > before for before, after in pairwise(marks)}
        return moved.pop() if len(moved) == 1 else None


async def watch(url: str, keys: Sequence[str], database_url: str, rows: int) -> Watched:
    """Create jobs on schedule until the rows are gone and somewhat longer. They expire a millisecond apart."""
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    generator, requests = Generator(address.hostname, address.port), creates(keys, keep_alive=True)
    answers = await generator.closed_loop(CLIENTS, CAPACITY_SECONDS, requests)
    rate = BUSY * len(answers) / CAPACITY_SECONDS
    await generator.connect(CONNECTIONS)
    windows, progress = list[Window](), list[Progress]()
    following = asyncio.create_task(_follow(database_url, rows, progress))
    calm = 0
    while calm < CALM_AFTER:
        begun_at = time.monotonic()
        answers = await generator.open_loop(rate, WINDOW, requests, seed=len(windows))
        took = [answer.took * 1000 for answer in answers]
        refused = sum(answer.status != 200 for answer in answers)
        windows.append(Window(begun_at, time.monotonic(), took, refused))
        calm += bool(progress and progress[-1].purged == rows)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    generator.close()
    return Watched(rate, windows, progress)


async def _follow(database_url: str, rows: int, progress: list[Progress]) -> None:
    """Ask for the oldest row again and again."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        first: float | None = None
        while True:
            found = await (await connection.execute(_OLDEST)).fetchone()
            oldest = found[0] if found else None
            first = first or oldest
            gone = rows if oldest is None or first is None else round((oldest - first) * 1000)
            progress.append(Progress(time.monotonic(), gone))
            await asyncio.sleep(SAMPLE_EVERY)


def taken(windows: Sequence[Window]) -> list[float]:
    """What all creates of the windows took together."""
    return [took for window in windows for took in window.took]
