"""Creates and runs jobs while a million others wait, and while a thousand do.

Two whole Simmers side by side, measured in turn. Half of the jobs that are created go into the queue in which the
others wait, half into one of their own, which the worker takes from first; of the long queue it takes the oldest. Beat
and the system worker run all the time.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, product
from typing import Any, LiteralString, NamedTuple

import psycopg
from celery import Celery
from redis import Redis

from benchmarks.copies import Copies
from benchmarks.outcome import Figure, Outcome, ratio
from benchmarks.rates import ROUNDS, Side, alternate, costs, cpu_seconds, proof, rates, waits
from benchmarks.recorder import post
from benchmarks.stack import running
from tests.cluster import Client
from tests.processes import Process, wait_until

FEW, MANY = 1_000, 1_000_000
KEYS = 20
"""API keys that the waiting jobs are of, those that create among them: by default each may have 100,000."""
TIERS = ("priority", "default")
WORKER = "jobs"
SECONDS = 5.0
"""Of creates in each round: all that wait are counted so often, and each round must have its share of that."""
JOBS = 600
"""That the worker runs in each round; fewer if fewer were created."""
WANTED = 0.9
DEADLINE = 60.0
SETTINGS = {
    # By default the millionth job is the last.
    "SIMMER_MAX_QUEUED_TOTAL": str(2 * MANY),
    # Nothing is lost here, and all waits for longer than usual.
    "SIMMER_REDISPATCH_AFTER": "600",
}


class Ran(NamedTuple):
    """Jobs a second, and milliseconds of the worker's CPU time for each."""

    rate: float
    cpu: float


@dataclass(frozen=True)
class Queue:
    """A Simmer in which so many jobs wait."""

    side: Side
    worker: Process
    database: psycopg.Connection[Any]
    broker: Redis
    celery: Celery

    def backlog(self) -> int:
        """Messages that wait for the worker."""
        return sum(self.broker.llen(tier) for tier in TIERS)

    def run(self, jobs: int) -> Ran:
        """Let the worker take that many messages."""
        left, cpu = self.backlog() - jobs, cpu_seconds(self.worker.pid)
        (begun_at,) = self._row("SELECT clock_timestamp()")
        self._tell_worker("add_consumer")
        wait_until(lambda: self.backlog() <= left, DEADLINE, "the worker has taken the jobs")
        self._tell_worker("cancel_consumer")
        wait_until(self._at_rest, DEADLINE, "the worker has run the jobs")
        cpu = cpu_seconds(self.worker.pid) - cpu
        ended, seconds = self._row(
            "SELECT count(*), extract(epoch FROM max(ended_at) - min(started_at))::float FROM jobs "
            "WHERE expires_at IS NOT NULL AND ended_at >= %s",
            begun_at,
        )
        return Ran(ended / seconds, cpu * 1000 / ended)

    def _at_rest(self) -> bool:
        (running_jobs,) = self._row("SELECT count(*) FROM jobs WHERE status = 'in_progress'")
        return bool(running_jobs == 0)

    def _tell_worker(self, command: str) -> None:
        # As an administrator does: `celery control add_consumer`.
        send = getattr(self.celery.control, command)
        for tier in TIERS:
            answers = send(tier, destination=[f"{WORKER}@local"], reply=True, timeout=10)
            assert len(answers) == 1, f"the worker did not answer {command}"

    def _row(self, query: LiteralString, *parameters: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] | None = self.database.execute(query, parameters).fetchone()
        assert found
        return found


def run() -> Outcome:
    """Measure creates, then runs, both in turn with few and with many jobs waiting."""
    with ExitStack() as started:
        queues = [_queue(waiting, started) for waiting in (FEW, MANY)]
        before = [queue.backlog() for queue in queues]
        created = alternate([queue.side for queue in queues], seconds=SECONDS)
        added = min(queue.backlog() - had for queue, had in zip(queues, before, strict=True))
        jobs = min(JOBS, added // (ROUNDS + 1))
        ran = _run_in_turn(queues, jobs)
    return _outcome(queues, created, ran, jobs)


def _run_in_turn(queues: Sequence[Queue], jobs: int) -> dict[str, list[Ran]]:
    found: dict[str, list[Ran]] = {queue.side.what: [] for queue in queues}
    for number in range(ROUNDS + 1):
        for queue in queues if number % 2 == 0 else reversed(queues):
            found[queue.side.what].append(queue.run(jobs))
    # The first round has the worker open its connections.
    return {what: runs[1:] for what, runs in found.items()}


def _outcome(queues: Sequence[Queue], created: Any, ran: dict[str, list[Ran]], jobs: int) -> Outcome:
    few, many = (queue.side.what for queue in queues)
    creates = rates(created)
    runs = {what: Figure(f"jobs run, {what}", "/s", [one.rate for one in each]) for what, each in ran.items()}
    spent = [
        Figure(f"jobs run, {what}: CPU time of the worker", "ms", [one.cpu for one in each])
        for what, each in ran.items()
    ]
    return Outcome(
        "full_queue",
        "Creates and runs while jobs wait",
        [
            *creates.values(),
            _by_round("creates, of those with few waiting", creates[many], creates[few]),
            *costs(created).values(),
            *waits(created),
            *runs.values(),
            _by_round("jobs run, of those with few waiting", runs[many], runs[few]),
            *spent,
        ],
        [
            ratio(f"creates with {MANY:,} jobs waiting, of those with {FEW:,}", creates[many], creates[few], WANTED),
            ratio(f"runs with {MANY:,} jobs waiting, of those with {FEW:,}", runs[many], runs[few], WANTED),
        ],
        [f"{jobs} jobs in each run, by one worker process", proof(created)],
    )


def _by_round(what: str, found: Figure, base: Figure) -> Figure:
    """The ratios of neighbours: how far the rounds agree."""
    return Figure(what, "x", [one / other for one, other in zip(found.runs, base.runs, strict=True)])


def _queue(waiting: int, started: ExitStack) -> Queue:
    """Start everything, and have the jobs wait. The broker holds messages of the oldest: the sweep sees to that."""
    stack = started.enter_context(running(**SETTINGS))
    database = started.enter_context(psycopg.connect(stack.database_url, autocommit=True))
    url = stack.cluster.api(1)
    Client(url, stack.keys[0]).submit("Say something.")
    _add_keys(database)
    copies = Copies(database)
    # All are due to be sent again, and the sweep has to find the first of them.
    copies.add(waiting - 1, redispatch_at="at", queue_expires_at="at + interval '1 day'")
    copies.vacuum()
    api = stack.cluster.started("api")
    side = Side(f"{waiting:,} waiting", url=url, pid=api.pid, requests=_creates(stack.keys))
    # It consumes no queue in which anything is, until it is told to.
    worker = stack.cluster.worker(WORKER, queue="sync")
    stack.cluster.system()
    celery = started.enter_context(Celery(broker=stack.broker_url, set_as_current=False))
    broker = started.enter_context(Redis.from_url(stack.broker_url))
    queue = Queue(side, worker, database, broker, celery)
    wait_until(lambda: queue.backlog() >= min(waiting, 2_000), DEADLINE, "the sweep has sent the oldest")
    return queue


def _add_keys(database: psycopg.Connection[Any]) -> None:
    database.execute(
        "INSERT INTO api_keys (id, name, scopes) "
        "SELECT gen_random_uuid(), 'bench', '{}' FROM generate_series((SELECT count(*) FROM api_keys) + 1, %s)",
        (KEYS,),
    )


def _creates(keys: Sequence[str]) -> Iterator[bytes]:
    """From one key after the other, and into one queue after the other, for ever."""
    body = {"model": "bench", "input": "Say something.", "background": True}
    return cycle(post("/v1/responses", {**body, "service_tier": tier}, key) for key, tier in product(keys, TIERS))
