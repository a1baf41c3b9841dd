"""What becomes of requests when more come in than two API processes can answer.

First the capacity is found with a few clients who send one create after the other. Then creates leave on schedule at
multiples of it. What counts is the ratio at the end: the machine may be slow or busy, but both sides of it ran on the
same. `python -m benchmarks.backpressure` has options of its own.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import NamedTuple
from urllib.parse import urlsplit

import click

from benchmarks.open_loop import Answered, Generator
from benchmarks.outcome import Figure, Goal, Outcome, percentile
from benchmarks.stack import MODEL, running

PROCESSES = 2
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


def creates(keys: Sequence[str], *, keep_alive: bool) -> Iterator[bytes]:
    """The same create for ever, from one key after the other."""
    inputs = [{"role": "user", "texts": [{"text": PROMPT}]}]
    body = json.dumps({"model": MODEL, "background": True, "inputs": inputs}).encode()
    close = "" if keep_alive else "Connection: close\r\n"
    head = f"POST /v1/model/response HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{close}"
    return cycle(
        f"{head}Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body for key in keys
    )


async def measure(
    url: str, keys: Sequence[str], seconds: float, seed: int, *, keep_alive: bool
) -> dict[float, Measured]:
    """Find the capacity, and run all loads: what became of the requests of each."""
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    capacity = await find_capacity(Generator(address.hostname, address.port), keys, seconds)
    found = {}
    for load in LOADS:
        generator = Generator(address.hostname, address.port, keep_alive)
        await generator.connect(CONNECTIONS if keep_alive else 0)
        requests = creates(keys, keep_alive=keep_alive)
        found[load] = measured(await generator.open_loop(capacity * load, seconds, requests, seed), seconds)
        generator.close()
        await asyncio.sleep(PAUSE)
    return found


async def find_capacity(generator: Generator, keys: Sequence[str], seconds: float) -> float:
    """Creates a second that are answered to a few clients."""
    requests = creates(keys, keep_alive=True)
    await generator.closed_loop(CLIENTS, SETTLED, requests)
    answers = await generator.closed_loop(CLIENTS, seconds, requests)
    return sum(answer.status == 200 for answer in answers) / seconds


def run(*, seconds: float = 8.0, places: int | None = None, keep_alive: bool = True, seed: int = 1) -> Outcome:
    """Run all loads for so many `seconds` each. `places`: SIMMER_MAX_CONCURRENT_REQUESTS, 10,000 refuses nothing."""
    with running(SIMMER_MAX_CONCURRENT_REQUESTS="" if places is None else str(places)) as stack:
        url = stack.cluster.api(PROCESSES)
        found = asyncio.run(measure(url, stack.keys, seconds, seed, keep_alive=keep_alive))
    return Outcome("backpressure", "Three times what can be done", [*_figures(found)], [*_goals(found)])


def _figures(found: dict[float, Measured]) -> Iterator[Figure]:
    for load, kinds in found.items():
        for kind, figures in kinds.items():
            at = f"offered {load:g} of the capacity: {kind}"
            yield Figure(at, "/s", [figures.rate])
            for name, value in zip(Figures._fields[1:], figures[1:], strict=True):
                yield Figure(f"{at}, {name}", "ms", [value])


def _goals(found: dict[float, Measured]) -> Iterator[Goal]:
    calm, overload = found[CALM], found[OVERLOAD]
    if "accepted" in calm and "accepted" in overload:
        slower = overload["accepted"].p50 / calm["accepted"].p50
        yield Goal(f"latency of what is accepted at {OVERLOAD:g}x, against {CALM:g}x, p50", slower, 4, at_least=False)
    if "refused" in overload:
        yield Goal(f"time to be refused at {OVERLOAD:g}x, p99", overload["refused"].p99, 50, "ms", at_least=False)


def main() -> None:
    """Run once and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backpressure", description=__doc__)
    parser.add_argument("--seconds", type=float, default=12, help="of each run (12)")
    parser.add_argument("--places", type=int, help="SIMMER_MAX_CONCURRENT_REQUESTS; 10000 refuses nothing")
    parser.add_argument("--fresh", action="store_true", help="a new connection for each request")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule (1)")
    options = parser.parse_args()
    outcome = run(seconds=options.seconds, places=options.places, keep_alive=not options.fresh, seed=options.seed)
    click.echo(outcome.table())


if __name__ == "__main__":
    main()
