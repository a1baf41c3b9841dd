"""What becomes of requests when more come in than two API processes can answer: `python -m benchmarks.backpressure`.

Real processes on a real Postgres and Valkey, all on this machine, and the load from here too. First the capacity is
found with a few clients who send one create after the other. Then creates leave on schedule at multiples of it. What
counts is the ratio at the end: the machine may be slow or busy, but both sides of it ran on the same.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import click

from app.container import Container
from app.db.engine import Database
from app.db.migrate import upgrade
from app.settings import Settings
from app.stack.postgres import EmbeddedPostgres
from app.stack.valkey import EmbeddedValkey
from benchmarks.open_loop import Answered, Generator
from tests.cluster import Cluster, environment
from tests.embedded import Server
from tests.processes import free_port

PROCESSES = 2
KEYS = 4
CLIENTS = 8
"""Enough to keep all processes busy, and too few to be refused."""
CONNECTIONS = 64
CALM, OVERLOAD = 0.8, 3.0
LOADS = (0.5, CALM, 1.0, OVERLOAD, 5.0)
SETTLED = 2.0
"""Seconds from the start of a run that are not counted: connections are new, and a burst is let in."""
PAUSE = 2.0
"""Seconds between two runs."""
HAPPENED = {200: "accepted", 503: "refused", 429: "refused"}
MODELS = '[upstreams.none]\nbase_url = "http://127.0.0.1:9/v1"\n[models."*"]\nupstream = "none"\n'
PROMPT = "Write a detailed article about the history of the steam engine. " * 8


class Figures(NamedTuple):
    """How many a second, and how long they took, in milliseconds."""

    rate: float
    p50: float
    p95: float
    p99: float


Measured = dict[str, Figures]
"""What became of the requests of one run: those accepted, refused and failed."""


def measured(answers: Sequence[Answered], seconds: float) -> Measured:
    """The figures of a run of so many seconds."""
    took: dict[str, list[float]] = {}
    for answer in answers:
        if answer.due >= SETTLED:
            took.setdefault(HAPPENED.get(answer.status, "failed"), []).append(answer.took * 1000)
    return {
        kind: Figures(len(times) / (seconds - SETTLED), *(percentile(times, part) for part in (0.5, 0.95, 0.99)))
        for kind, times in sorted(took.items())
    }


def percentile(values: Sequence[float], part: float) -> float:
    """Of a list that is not empty."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def creates(keys: Sequence[str], *, keep_alive: bool) -> Iterator[bytes]:
    """The same create for ever, from one key after the other."""
    inputs = [{"role": "user", "texts": [{"text": PROMPT}]}]
    body = json.dumps({"model": "gpt-4.1", "background": True, "inputs": inputs}).encode()
    close = "" if keep_alive else "Connection: close\r\n"
    head = f"POST /v1/model/response HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{close}"
    return cycle(
        f"{head}Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body for key in keys
    )


@contextmanager
def running(places: int | None) -> Iterator[tuple[str, list[str]]]:
    """The URL of API processes that work on `places` requests each (None: the default), and keys."""
    with tempfile.TemporaryDirectory(prefix="simmer-bench-") as name:
        folder = Path(name)
        # Postgres may run as another user.
        folder.chmod(0o755)
        models = folder / "models.toml"
        models.write_text(MODELS)
        homes = [folder / name for name in ("postgres", "valkey", "logs")]
        for home in homes:
            home.mkdir()
        postgres, valkey = EmbeddedPostgres(homes[0], free_port()), EmbeddedValkey(homes[1], free_port())
        with Server(postgres, folder / "postgres.log") as database, Server(valkey, folder / "valkey.log") as broker:
            env = environment(database.url, broker.url, models)
            env["SIMMER_MAX_CONCURRENT_REQUESTS"] = "" if places is None else str(places)
            with Cluster(homes[2], env) as cluster:
                yield prepare(cluster, database.url)


def prepare(cluster: Cluster, database_url: str) -> tuple[str, list[str]]:
    """Migrate, make keys, and start the API."""
    settings = Settings(database_url=database_url)
    database = Database(settings)
    upgrade(database, timeout=10)
    database.close()
    keys = Container(settings).keys
    made = [keys.create(f"bench {number}", ["responses:write", "responses:read"])[1] for number in range(KEYS)]
    return cluster.api(PROCESSES), made


async def measure(
    url: str, keys: Sequence[str], seconds: float, seed: int, *, keep_alive: bool
) -> dict[float, Measured]:
    """Find the capacity, and run all loads."""
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    capacity = await find_capacity(Generator(address.hostname, address.port), keys, seconds)
    click.echo(f"capacity: {capacity:.0f} creates a second, from {CLIENTS} clients who send one after the other\n")
    click.echo(" load      what       /s  p50 (ms)  p95 (ms)  p99 (ms)")
    found = {}
    for load in LOADS:
        generator = Generator(address.hostname, address.port, keep_alive)
        await generator.connect(CONNECTIONS if keep_alive else 0)
        requests = creates(keys, keep_alive=keep_alive)
        found[load] = measured(await generator.open_loop(capacity * load, seconds, requests, seed), seconds)
        generator.close()
        for kind, figures in found[load].items():
            click.echo(f"{load:4.1f}x {kind:>9} " + " ".join(f"{figure:9.1f}" for figure in figures))
        await asyncio.sleep(PAUSE)
    return found


async def find_capacity(generator: Generator, keys: Sequence[str], seconds: float) -> float:
    """Creates a second that are answered to a few clients."""
    requests = creates(keys, keep_alive=True)
    await generator.closed_loop(CLIENTS, SETTLED, requests)
    answers = await generator.closed_loop(CLIENTS, seconds, requests)
    return sum(answer.status == 200 for answer in answers) / seconds


def report(found: dict[float, Measured]) -> None:
    """The ratios."""
    calm, overload = found[CALM], found[OVERLOAD]
    if "accepted" in calm and "accepted" in overload:
        pairs = zip(Figures._fields[1:], overload["accepted"][1:], calm["accepted"][1:], strict=True)
        ratios = ", ".join(f"{name} {over / under:.1f} times" for name, over, under in pairs)
        click.echo(f"\naccepted at {OVERLOAD:.0f}x against {CALM}x: {ratios}")
    if "refused" in overload:
        refused = overload["refused"]
        click.echo(f"refused at {OVERLOAD:.0f}x: p50 {refused.p50:.0f} ms, p99 {refused.p99:.0f} ms")


def main() -> None:
    """Run once and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backpressure", description=__doc__)
    parser.add_argument("--seconds", type=float, default=12, help="of each run (12)")
    parser.add_argument("--places", type=int, help="SIMMER_MAX_CONCURRENT_REQUESTS; 10000 refuses nothing")
    parser.add_argument("--fresh", action="store_true", help="a new connection for each request")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule (1)")
    options = parser.parse_args()
    with running(options.places) as (url, keys):
        report(asyncio.run(measure(url, keys, options.seconds, options.seed, keep_alive=not options.fresh)))


if __name__ == "__main__":
    main()
