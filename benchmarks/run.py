"""Jobs that are queued, and one worker process that runs them: from accepted to completed.

The model server answers at once. The bare task is another worker process on the same table, with the same statements.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg

from benchmarks.backpressure import PROMPT, creates
from benchmarks.open_loop import Generator
from benchmarks.outcome import Figure, Goal, Outcome, ratio
from benchmarks.rates import CLIENTS, cpu_seconds
from benchmarks.stack import Stack, running
from tests.processes import Process, wait_until

RUNS = 3
JOBS = 1500
SLOTS = 100
"""Of each worker: jobs at once."""
FIRST, LAST = 0.1, 0.95
"""The part of the jobs between which is measured: before, the worker starts; after, it has not enough to do."""
DRAIN_TIMEOUT = 60.0
SIMMER, WITH_CALL, WITHOUT_CALL = (
    "Simmer",
    "bare Celery task, the same SQL and call",
    "bare Celery task, the same SQL, no call",
)


class Drained(NamedTuple):
    """Jobs a second, milliseconds of the worker's CPU time for each, and how much of a core it took."""

    rate: float
    cpu: float

    @property
    def busy(self) -> float:
        """The part of a core."""
        return self.rate * self.cpu / 1000


@dataclass(frozen=True)
class _Side:
    queue: Callable[[], None]
    """Queues at least JOBS jobs."""
    start: Callable[[], Process]
    """Starts a worker."""


def run() -> Outcome:
    """One after the other, in several rounds, each on an empty table."""
    with running() as stack, psycopg.connect(stack.database_url, autocommit=True) as connection:
        sides = {
            SIMMER: _simmer(stack),
            WITH_CALL: _bare(stack, "with_call"),
            WITHOUT_CALL: _bare(stack, "without_call"),
        }
        found: dict[str, list[Drained]] = {what: [] for what in sides}
        for number in range(RUNS):
            for what in sides if number % 2 == 0 else reversed(sides):
                found[what].append(_drain(sides[what], connection))
    return Outcome("run", "Accepted to completed, one worker process", _figures(found), _goals(found), _notes(found))


def _simmer(stack: Stack) -> _Side:
    address = urlsplit(stack.cluster.api(1))
    assert address.hostname
    assert address.port
    generator = Generator(address.hostname, address.port)
    requests = creates(stack.keys, keep_alive=True)

    def queue() -> None:
        accepted = 0
        while accepted < JOBS:
            answers = asyncio.run(generator.closed_loop(CLIENTS, 0.5, requests))
            accepted += sum(answer.status == 200 for answer in answers)

    return _Side(queue, lambda: stack.cluster.worker(concurrency=SLOTS))


def _bare(stack: Stack, task: str) -> _Side:
    def queue() -> None:
        argv = ["python", "-m", "benchmarks.floors.producer", task, str(JOBS), PROMPT]
        assert stack.command("producer", argv).wait(DRAIN_TIMEOUT) == 0

    def start() -> Process:
        argv = ["celery", "-A", "benchmarks.floors.tasks", "worker", "-P", "gevent", "-c", str(SLOTS)]
        options = ["--without-mingle", "--without-gossip"]
        return stack.command("floor", [*argv, *options], FLOOR_UPSTREAM=stack.upstream_url)

    return _Side(queue, start)


def _drain(side: _Side, connection: psycopg.Connection) -> Drained:
    connection.execute("TRUNCATE jobs")
    side.queue()
    queued = _count(connection, "queued")
    worker = side.start()
    counted, cpu, at = _reached(connection, worker, queued * FIRST)
    counted_last, cpu_last, at_last = _reached(connection, worker, queued * LAST)
    wait_until(lambda: _count(connection, "completed") == queued, DRAIN_TIMEOUT, "all jobs completed")
    worker.power_off()
    jobs = counted_last - counted
    return Drained(jobs / (at_last - at), (cpu_last - cpu) * 1000 / jobs)


def _reached(connection: psycopg.Connection, worker: Process, wanted: float) -> tuple[int, float, float]:
    """How many jobs have completed, once so many have; the worker's CPU time, and the time."""
    wait_until(lambda: _count(connection, "completed") >= wanted, DRAIN_TIMEOUT, f"{wanted:.0f} jobs completed")
    return _count(connection, "completed"), cpu_seconds(worker.pid), time.monotonic()


def _count(connection: psycopg.Connection, status: str) -> int:
    row = connection.execute("SELECT count(*) FROM jobs WHERE status = %s", [status]).fetchone()
    assert row
    return int(row[0])


def _figures(found: Mapping[str, Sequence[Drained]]) -> list[Figure]:
    rates = [Figure(what, "jobs/s", [run.rate for run in runs]) for what, runs in found.items()]
    costs = [Figure(f"{what}: CPU time", "ms", [run.cpu for run in runs]) for what, runs in found.items()]
    return [*rates, *costs]


def _goals(found: Mapping[str, Sequence[Drained]]) -> list[Goal]:
    simmer, with_call, without_call = _figures(found)[:3]
    return [
        ratio("jobs, against the bare task with the same SQL and the same call", simmer, with_call, 0.7),
        ratio("jobs, against the bare task with the same SQL that asks nobody", simmer, without_call, 0.7),
    ]


def _notes(found: Mapping[str, Sequence[Drained]]) -> list[str]:
    shares = ", ".join(f"{what} {median(run.busy for run in runs):.0%}" for what, runs in found.items())
    cost = {what: median(run.cpu for run in runs) for what, runs in found.items()}
    times = ", ".join(f"{cost[SIMMER] / cost[bare]:.2f} times that of {bare}" for bare in (WITH_CALL, WITHOUT_CALL))
    return [
        f"{RUNS} rounds of {JOBS:,} jobs on each side in turn",
        f"of a core, the workers took: {shares}",
        f"CPU time of Simmer's worker: {times}",
    ]
