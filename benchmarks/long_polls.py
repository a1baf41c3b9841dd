"""Five thousand clients wait for jobs at one API process: how soon each hears that its job has ended.

Once each waits for a job of its own, and the jobs end one after the other; that is judged. Once all wait for the same
job, and hear of its end together: then the last one's answer tells how many answers a second the process gives.
"""

import asyncio
import resource
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import psycopg

from app.domain.ids import parse_public_id
from benchmarks.apart import Load, apart
from benchmarks.outcome import Figure, Goal, Outcome, percentile
from benchmarks.recorder import Recorder, connect, create, wait
from benchmarks.stack import Stack, running

POLLS = 5000
ARRIVALS = 120.0
"""Clients that come in a second, each to create a job and to wait for it; the jobs end at the same pace."""
JOB_SECONDS = 50.0
"""More than it takes until all clients are there, and less than one may wait."""
CROWD_ARRIVALS = 400.0
CROWD_SECONDS = 16.0
"""How long the job lasts for which all wait together: more than it takes until they are there."""
RUN_TIMEOUT = 240.0
WANTED = 250.0
NOT_ENDED = {"queued", "in_progress"}


class Told(NamedTuple):
    """What one client heard: of which job, and when (`time.time()`)."""

    job_id: str
    at: float


class Heard(NamedTuple):
    """What all clients heard, and how many of them were waiting at once at most."""

    each: Sequence[Told]
    crowd: Sequence[Told]
    at_once: int


def run() -> Outcome:
    """One API process with all clients, and one worker with all jobs."""
    with running() as stack:
        stack.cluster.worker(concurrency=POLLS)
        stack.cluster.system()
        load = apart(_load, stack.cluster.api(), stack.keys[0], timeout=RUN_TIMEOUT)
        each, crowd = (_delays(stack, told) for told in (load.result.each, load.result.crowd))
    return _outcome(load, each, crowd)


def _outcome(load: Load[Heard], each: Sequence[float], crowd: Sequence[float]) -> Outcome:
    wake_up = Figure("each waits for its own job, wake-up p99", "ms", [percentile(each, 0.99)])
    figures = [
        Figure("clients that waited at once", "", [load.result.at_once]),
        Figure("each waits for its own job, wake-up p50", "ms", [percentile(each, 0.5)]),
        wake_up,
        Figure("each waits for its own job, the slowest", "ms", [max(each)]),
        Figure("all wait for one job, wake-up p50", "ms", [percentile(crowd, 0.5)]),
        Figure("all wait for one job, the last", "ms", [max(crowd)]),
        Figure("all wait for one job, answers", "a second", [len(crowd) / max(crowd) * 1000]),
    ]
    goals = [
        Goal("clients that wait at one API process", load.result.at_once, POLLS, "clients"),
        Goal(f"wake-up p99 of {POLLS:,} long polls", wake_up.median, WANTED, "ms", at_least=False),
    ]
    notes = [
        "wake-up: from ended_at in the database until the whole answer is at the client",
        f"the jobs of each client's own end at about {ARRIVALS:.0f} a second",
        load.note,
    ]
    return Outcome("long_polls", f"{POLLS:,} long polls at one API process", figures, goals, notes)


def _delays(stack: Stack, heard: Sequence[Told]) -> list[float]:
    """Milliseconds after the ends of the jobs."""
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute("SELECT id, extract(epoch FROM ended_at) FROM jobs").fetchall()
    ended_at: dict[UUID, Decimal] = dict(rows)
    delays = []
    for told in heard:
        job_id = parse_public_id(told.job_id)
        assert job_id
        delays.append((told.at - float(ended_at[job_id])) * 1000)
    return delays


async def _load(url: str, key: str) -> Heard:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = _Clients(url, key)
    each = await asyncio.gather(*(clients.wait_for_own(number) for number in range(POLLS)))
    crowd = await clients.wait_for_one()
    return Heard(each, crowd, clients.at_once)


@dataclass
class _Clients:
    """All clients, and how many of them wait."""

    url: str
    key: str
    at_once: int = 0
    _waiting: int = 0
    _connections: list[Recorder] = field(default_factory=list)

    async def wait_for_own(self, number: int) -> Told:
        """Come in when it is this client's turn, create a job and wait for it."""
        await asyncio.sleep(number / ARRIVALS)
        connection = await connect(self.url)
        self._connections.append(connection)
        return await self._wait(connection, await self._create(connection, JOB_SECONDS))

    async def wait_for_one(self) -> list[Told]:
        """Have all clients wait for one job, on the connections that they have."""
        job_id = await self._create(self._connections[0], CROWD_SECONDS)

        async def join(number: int, connection: Recorder) -> Told:
            await asyncio.sleep(number / CROWD_ARRIVALS)
            return await self._wait(connection, job_id)

        return await asyncio.gather(*(join(*numbered) for numbered in enumerate(self._connections)))

    async def _create(self, connection: Recorder, seconds: float) -> str:
        answer = await connection.ask(create(f"[[after {seconds}]]", self.key))
        job_id: str = answer.json()["id"]
        return job_id

    async def _wait(self, connection: Recorder, job_id: str) -> Told:
        self._waiting += 1
        self.at_once = max(self.at_once, self._waiting)
        while (answer := await connection.ask(wait(job_id, self.key))).json()["status"] in NOT_ENDED:
            # Its minute is over; a client asks again.
            pass
        self._waiting -= 1
        return Told(job_id, answer.ended_at)
