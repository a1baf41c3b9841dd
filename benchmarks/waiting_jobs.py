"""Two thousand jobs that wait for their model at once in one worker process, and what each takes of memory.

Beside it the worker that tutorials teach, Celery's default: a process for each job.
"""

import asyncio
from contextlib import closing

import psutil
import psycopg
from celery import Celery

from benchmarks.outcome import Figure, Goal, Outcome
from benchmarks.recorder import connect, create
from benchmarks.stack import Stack, running
from tests.cluster import START_TIMEOUT
from tests.processes import wait_until

JOBS = 2000
CLIENTS = 8
"""They create the jobs."""
WARM_UP = 80
JOB_SECONDS = 50.0
"""More than it takes to create and start them all."""
END_TIMEOUT = 120.0
WANTED = 150.0
PREFORK = 24
"""Processes of the tutorial's worker: enough to see what one more takes."""
PREFORK_SECONDS = 15.0
KB = 1000


def run() -> Outcome:
    """One worker process of each kind, one after the other."""
    with running() as stack:
        idle, busy, at_once = _simmer(stack)
    with running() as stack:
        parent, child = _prefork(stack)
    per_job = (busy - idle) / JOBS
    figures = [
        Figure("jobs in flight at once", "", [at_once]),
        Figure("memory (PSS) of the worker without jobs", "MB", [idle / KB**2]),
        Figure("memory (PSS) of the worker with all jobs", "MB", [busy / KB**2]),
        Figure("memory of one job", "KB", [per_job / KB]),
        Figure("the tutorial's worker: memory of its parent process", "MB", [parent / KB**2]),
        Figure("the tutorial's worker: memory of one job, a process", "KB", [child / KB]),
        Figure("the tutorial's worker: jobs at once in the memory of Simmer's", "", [(busy - parent) / child]),
    ]
    goals = [
        Goal("jobs in flight in one worker process", at_once, JOBS, "jobs"),
        Goal("memory of a waiting job", per_job / KB, WANTED, "KB", at_least=False),
    ]
    notes = [f"the tutorial's worker ran {PREFORK} jobs at once; PSS counts shared pages by share"]
    return Outcome("waiting_jobs", "Jobs that wait in one worker process", figures, goals, notes)


def _simmer(stack: Stack) -> tuple[int, int, int]:
    """Bytes of the worker before it has jobs and with all of them, and how many were in flight then."""
    worker = stack.cluster.worker(concurrency=JOBS)
    stack.cluster.system()
    url, key = stack.cluster.api(), stack.keys[0]
    asyncio.run(_create(url, key, WARM_UP, "warm up"))
    wait_until(lambda: _count(stack, "completed") == WARM_UP, END_TIMEOUT, "warm-up completed")
    idle = worker.memory().pss
    asyncio.run(_create(url, key, JOBS, f"[[after {JOB_SECONDS}]]"))
    wait_until(lambda: _count(stack, "in_progress") == JOBS, JOB_SECONDS, "all jobs in progress")
    wait_until(lambda: _in_flight(stack) >= JOBS, JOB_SECONDS, "all jobs at the upstream")
    busy, at_once = worker.memory().pss, _count(stack, "in_progress")
    wait_until(lambda: _count(stack, "completed") == WARM_UP + JOBS, END_TIMEOUT, "all jobs completed")
    return idle, busy, at_once


def _prefork(stack: Stack) -> tuple[int, float]:
    """Bytes of the parent process, and of each child while it runs a job."""
    argv = ["celery", "-A", "benchmarks.peers.tutorial", "worker", "-c", str(PREFORK), "-l", "INFO"]
    env = {"OPENAI_BASE_URL": stack.upstream_url, "OPENAI_API_KEY": "unused"}
    worker = stack.command("tutorial", argv, **env)
    worker.wait_log(" ready.", START_TIMEOUT)
    with closing(Celery(broker=stack.broker_url, backend=stack.broker_url)) as celery:
        for _ in range(PREFORK):
            celery.send_task("benchmarks.peers.tutorial.answer", [f"[[after {PREFORK_SECONDS}]]"], queue="tutorial")
    wait_until(lambda: _in_flight(stack) >= PREFORK, PREFORK_SECONDS, "all jobs of the tutorial at the upstream")
    parent = psutil.Process(worker.pid).memory_full_info().pss
    return parent, (worker.memory().pss - parent) / PREFORK


def _in_flight(stack: Stack) -> int:
    """Connections that the upstream has."""
    upstream = stack.cluster.started("upstream")
    connections = psutil.Process(upstream.pid).net_connections("tcp")
    return sum(connection.status == psutil.CONN_ESTABLISHED for connection in connections)


def _count(stack: Stack, status: str) -> int:
    """Jobs of this status that needed one attempt."""
    with psycopg.connect(stack.database_url) as connection:
        query = "SELECT count(*) FROM jobs WHERE status = %s AND attempt = 1"
        row = connection.execute(query, [status]).fetchone()
    assert row
    found: int = row[0]
    return found


async def _create(url: str, key: str, jobs: int, prompt: str) -> None:
    request = create(prompt, key)

    async def client() -> None:
        connection = await connect(url)
        for _ in range(jobs // CLIENTS):
            answer = await connection.ask(request)
            assert answer.status == 200, answer.status
        connection.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
