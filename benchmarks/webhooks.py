"""Webhooks of 10,000 jobs to 20 endpoints, of which 8 are dead: how soon the events of the healthy ones arrive.

They have an API key each. Five answer 500, two never, one 410.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from benchmarks.open_loop import Generator
from benchmarks.outcome import Figure, Goal, Outcome, percentile
from benchmarks.recorder import create
from benchmarks.stack import Stack, running
from tests import webhook_fleet as fleet
from tests.processes import wait_until
from tests.webhook_fleet import Arrivals, Member
from tests.webhook_receiver import Received

JOBS = 10_000
RATE = 60.0
"""Creates a second."""
PATIENCE = 120.0
P99 = 2_000.0


def run() -> Outcome:
    """An API process, workers for jobs, system work and webhooks, a receiver; the load is an open loop."""
    with running(SIMMER_WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8") as stack:
        stack.cluster.worker(concurrency=1000)
        stack.cluster.system()
        stack.cluster.webhooks()
        url = stack.cluster.api()
        journal, receiver = _receiver(stack)
        members = fleet.enlist(url, stack.database_url, receiver)
        asyncio.run(_load(url, members))
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            wait_until(lambda: not fleet.unfinished(connection), PATIENCE, "all jobs have ended")
            wait_until(lambda: not fleet.undelivered(connection, members), PATIENCE, "the healthy have their events")
            found = fleet.judge(connection, members, _requests(journal))
            disabled = fleet.disabled(connection, members)
    return _outcome(found, sum(reason == "gone" for reason in disabled.values()))


def _outcome(found: Arrivals, gone: int) -> Outcome:
    lags = [lag * 1000 for lag in found.lags]
    figures = [Figure(f"job's end to arrival, p{part * 100:g}", "ms", [percentile(lags, part)]) for part in (0.5, 0.99)]
    figures.append(Figure("events of healthy endpoints that arrived", "", [len(lags)]))
    figures.append(Figure("arrived more than once", "", [found.repeated]))
    goals = [
        Goal("webhooks p99", figures[1].median, P99, "ms", at_least=False),
        Goal("events of healthy endpoints that are missing", found.missing, 0, "", at_least=False),
        Goal("requests without a valid signature", found.unsigned, 0, "", at_least=False),
        Goal("endpoints that answered 410 and are disabled", gone, fleet.KINDS.count(fleet.GONE), ""),
    ]
    notes = [f"{JOBS:,} jobs, {RATE:g} a second, to {len(fleet.KINDS)} endpoints"]
    return Outcome("webhooks", "Webhooks: from a job's end to a healthy endpoint", figures, goals, notes)


def _receiver(stack: Stack) -> tuple[Path, str]:
    """Its journal, and its URL."""
    journal = Path(tempfile.mkstemp(dir=stack.folder, suffix=".jsonl")[1])
    argv = [sys.executable, "-m", "tests.webhook_receiver", "--journal", str(journal)]
    process = stack.command("receiver", [*argv, "--answer", json.dumps(fleet.answers())])
    return journal, process.wait_log("http://", 10).strip()


def _requests(journal: Path) -> Iterator[Received]:
    with journal.open(encoding="utf-8") as lines:
        for line in lines:
            found = json.loads(line)
            yield Received(**{**found, "body": found["body"].encode("latin-1")})


async def _load(url: str, members: list[Member]) -> None:
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    generator = Generator(address.hostname, address.port)
    requests = cycle([create("one job", member.key) for member in members])
    answered = await generator.open_loop(RATE, JOBS / RATE, requests, seed=1)
    generator.close()
    refused = [one for one in answered if one.status != 200]
    assert not refused, f"{len(refused)} creates failed"
