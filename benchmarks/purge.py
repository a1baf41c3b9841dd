"""Has beat and the system worker purge a million expired jobs, while others are created and run.

Creates leave on schedule from before the first purge until after the last: what they take during a purge stands beside
what they take before, between and after. Of all creates together, one moment in which the disk hangs decides about the
p99, and it does so without a purge too: the median of two-second windows stands beside it. Then as many new jobs come
in, for which the room of the old ones has to do.
"""

from collections.abc import Mapping

import psycopg

from benchmarks.apart import Load, apart
from benchmarks.copies import TABLE, Copies
from benchmarks.outcome import Figure, Goal, Outcome, percentile, ratio
from benchmarks.purge_load import Watched, taken, watch
from benchmarks.stack import running
from tests.cluster import Client

ROWS = 1_000_000
INTERVAL = 35
"""Seconds between two purges. Each takes 30 at most: there are calm seconds before the first, and after each."""
PATIENCE = 300.0
RISE, COST, GROWTH = 1.2, 1.2, 1.2
NOW = "clock_timestamp()"
MB = 1000**2

Bytes = Mapping[str, int]


def run() -> Outcome:
    """Fill the table, have it purged under load, and fill it again."""
    with running(SIMMER_PURGE_INTERVAL=str(INTERVAL)) as stack:
        url, key = stack.cluster.api(1), stack.keys[0]
        stack.cluster.worker()
        client = Client(url, key)
        client.wait(client.submit("Say something."), "completed")
        with psycopg.connect(stack.database_url, autocommit=True) as database:
            copies = Copies(database)
            # The original is none of them: it expires tomorrow.
            copies.add(ROWS, ended_at="at - interval '1 day'", expires_at="at")
            copies.vacuum()
            full = copies.bytes()
            stack.cluster.system()
            load = apart(watch, url, list(stack.keys), stack.database_url, ROWS, timeout=PATIENCE)
            # Twice: an index page that one has emptied can be used once transactions went by, and the next tells of it.
            copies.vacuum()
            copies.vacuum()
            purged = copies.bytes()
            # New ones, behind all others in every index.
            copies.add(ROWS, id="uuidv7()", created_at=NOW, ended_at=NOW, expires_at=f"{NOW} + interval '1 day'")
            copies.vacuum()
            return _outcome(load, full, purged, copies.bytes())


def _outcome(load: Load[Watched], full: Bytes, purged: Bytes, refilled: Bytes) -> Outcome:
    found = load.result
    calm, purging = found.windows_of(purging=False), found.windows_of(purging=True)
    p99, p99_purging = (
        Figure(f"create p99 {when}", "ms", [percentile(taken(each), 0.99)])
        for when, each in (("without a purge", calm), ("during a purge", purging))
    )
    windows = [
        Figure(f"create p99 {when}, of two seconds", "ms", [percentile(window.took, 0.99) for window in each])
        for when, each in (("without a purge", calm), ("during a purge", purging))
    ]
    costs = found.costs()
    figures = [
        Figure("create p50 without a purge", "ms", [percentile(taken(calm), 0.5)]),
        Figure("create p50 during a purge", "ms", [percentile(taken(purging), 0.5)]),
        p99,
        p99_purging,
        *windows,
        *(
            Figure(f"a thousand rows purged, rests included, quarter {part + 1}", "ms", [cost])
            for part, cost in enumerate(costs)
        ),
        *_sizes("with the rows to purge", full),
        *_sizes("after the purge", purged),
        *_sizes("with as many new rows", refilled),
    ]
    goals = [
        ratio("create p99 during a purge, of that without", p99_purging, p99, RISE, at_least=False),
        Goal("cost of a purged row, last quarter of the first", costs[-1] / costs[0], COST, at_least=False),
        Goal("table after a purge and as many new rows", refilled[TABLE] / full[TABLE], GROWTH, at_least=False),
        Goal("indexes after a purge and as many new rows", _indexes(refilled) / _indexes(full), GROWTH, at_least=False),
    ]
    refused = sum(window.refused for window in found.windows)
    counted = f"{len(taken(calm))} counted without a purge, {len(taken(purging))} during one"
    notes = [f"{found.rate:.0f} creates a second, {refused} not accepted; {counted}", load.note]
    details = {"bytes": {"full": full, "purged": purged, "refilled": refilled}}
    return Outcome("purge", f"Purge of {ROWS:,} expired rows under load", figures, goals, notes, details)


def _sizes(when: str, found: Bytes) -> list[Figure]:
    return [
        Figure(f"table {when}", "MB", [found[TABLE] / MB]),
        Figure(f"indexes {when}", "MB", [_indexes(found) / MB]),
    ]


def _indexes(found: Bytes) -> int:
    return sum(found.values()) - found[TABLE]
