"""How soon a worker with nothing to do takes a job: from accepted to in_progress, one job after the other."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from benchmarks.outcome import Figure, Goal, Outcome, percentile
from benchmarks.recorder import Answer, Recorder, connect, create, wait
from benchmarks.stack import Stack, running

RUNS = 3
JOBS = 200
"""Of a run; every other one is streamed, which shows a client when the job is taken."""
WARM_UP = 20
LONGEST_PAUSE = 0.05
"""Seconds between two jobs, at random: else they might keep step with something that happens at intervals."""
P50, P99 = 15.0, 50.0
PARTS = ((0.5, P50), (0.99, P99))


@dataclass
class Delays:
    """Milliseconds in which the jobs of one run were taken."""

    stored: Sequence[float] = ()
    """From `created_at` to `started_at`, of all jobs."""
    told: list[float] = field(default_factory=list)
    """From one event of the stream, `queued`, to the next, `in_progress`, at a client."""
    from_request: list[float] = field(default_factory=list)
    """From the request to `in_progress`, at a client."""


def run() -> Outcome:
    """An API process, a worker for jobs, and beat and a worker for system work: all that an idle system is."""
    with running() as stack:
        stack.cluster.worker(concurrency=1000)
        stack.cluster.system()
        url = stack.cluster.api()
        asyncio.run(_one_after_the_other(url, stack.keys[0], WARM_UP))
        runs = [_run(stack, url) for _ in range(RUNS)]
    stored = _figures("in the database", [found.stored for found in runs])
    told = _figures("at a client", [found.told for found in runs])
    from_request = _figures("at a client, from its request on", [found.from_request for found in runs])
    goals = [
        Goal(f"pickup {figure.what}", figure.median, wanted, "ms", at_least=False)
        for figures in (stored, told)
        for figure, (_, wanted) in zip(figures, PARTS, strict=True)
    ]
    notes = [f"{RUNS} runs of {JOBS} jobs, one after the other with pauses of up to {LONGEST_PAUSE * 1000:.0f} ms"]
    return Outcome("pickup", "Pickup when idle: accepted to in_progress", [*stored, *told, *from_request], goals, notes)


def _figures(where: str, runs: Sequence[Sequence[float]]) -> list[Figure]:
    return [Figure(f"{where}, p{part * 100:.0f}", "ms", [percentile(run, part) for run in runs]) for part, _ in PARTS]


def _run(stack: Stack, url: str) -> Delays:
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        # Of the database, not of this process: the jobs are found by it.
        since = connection.execute("SELECT now()").fetchone()
        delays = asyncio.run(_one_after_the_other(url, stack.keys[0], JOBS))
        took = "extract(epoch FROM started_at - created_at) * 1000"
        rows = connection.execute(f"SELECT {took} FROM jobs WHERE created_at > %s", since).fetchall()  # noqa: S608
    delays.stored = [float(row[0]) for row in rows]
    assert len(delays.stored) == JOBS
    return delays


async def _one_after_the_other(url: str, key: str, jobs: int) -> Delays:
    delays = Delays()
    connection = await connect(url)
    for number in range(jobs):
        if number % 2:
            await _plain_job(connection, key)
        else:
            _note(await connection.ask(create("one streamed job", key, stream=True)), delays)
        await asyncio.sleep(random.uniform(0, LONGEST_PAUSE))  # noqa: S311 - a pause, no secret
    connection.close()
    return delays


async def _plain_job(connection: Recorder, key: str) -> None:
    created = await connection.ask(create("one job", key))
    ended = await connection.ask(wait(created.json()["id"], key))
    assert ended.json()["status"] == "completed"


def _note(answer: Answer, delays: Delays) -> None:
    at = {json.loads(frame.data)["type"]: frame.at for frame in answer.frames()}
    assert "response.completed" in at
    taken_at = at["response.in_progress"]
    delays.told.append((taken_at - at["response.queued"]) * 1000)
    delays.from_request.append((taken_at - answer.sent_at) * 1000)
