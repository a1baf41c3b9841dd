"""Servers side by side, asked in turn by the same few clients: how much each one answers, and what it costs.

The clients live in this process. What it takes of a core is measured as well: a load generator that is busy all the
time would measure itself.
"""

import asyncio
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from benchmarks.open_loop import Answered, Generator
from benchmarks.outcome import Figure, percentile

CLIENTS = 12
"""Enough to keep one process busy, and fewer than the sixteen requests that one API process takes on at once."""
ROUNDS = 5
SECONDS = 2.0
WARM_UP = 1.0
"""Seconds of the same load before the first round: connections, prepared statements, caches."""
PAUSE = 0.5
"""Seconds after a round, for what Postgres still has to write."""


class WrongAnswerError(Exception):
    """A server did not do what it is measured at."""


@dataclass(frozen=True)
class Side:
    """One server, and what it is asked again and again."""

    what: str
    url: str
    pid: int
    requests: Iterator[bytes]
    status: int = 200
    """What every answer must have."""


class Sample(NamedTuple):
    """What one round found: answers a second, milliseconds of the server's CPU time for each of them and of its
    clients' waiting, and how much of a core the server and this process took.
    """

    rate: float
    cpu: float
    p50: float
    p99: float
    busy: float
    load: float


def alternate(sides: Sequence[Side], *, rounds: int = ROUNDS, seconds: float = SECONDS) -> dict[str, list[Sample]]:
    """Measure one side after the other, in several rounds, so that a disturbance hits all of them.

    Raises WrongAnswerError if one answers anything else than it should.
    """
    found: dict[str, list[Sample]] = {side.what: [] for side in sides}
    for side in sides:
        _measure(side, WARM_UP)
    for number in range(rounds):
        # There and back: a machine that slows down does so for nobody in particular.
        for side in sides if number % 2 == 0 else reversed(sides):
            found[side.what].append(_measure(side, seconds))
            time.sleep(PAUSE)
    return found


def rates(samples: Mapping[str, Sequence[Sample]]) -> dict[str, Figure]:
    """Answers a second of each side."""
    return {what: Figure(what, "/s", [sample.rate for sample in runs]) for what, runs in samples.items()}


def costs(samples: Mapping[str, Sequence[Sample]]) -> dict[str, Figure]:
    """Milliseconds of CPU time of each side's process for each answer."""
    return {
        what: Figure(f"{what}: CPU time of its process", "ms", [sample.cpu for sample in runs])
        for what, runs in samples.items()
    }


def compared(samples: Mapping[str, Sequence[Sample]], whats: Sequence[str], base: str) -> str:
    """What an answer costs, in times of what it costs `base`."""
    cost = {what: figure.median for what, figure in costs(samples).items()}
    times = [f"{what} {cost[what] / cost[base]:.2f} times" for what in whats]
    return f"CPU time of the server's process, against {base}: {', '.join(times)}"


def waits(samples: Mapping[str, Sequence[Sample]]) -> list[Figure]:
    """How long the clients waited for half of the answers, and for all but a hundredth."""
    p50 = [Figure(f"{what}: p50", "ms", [sample.p50 for sample in runs]) for what, runs in samples.items()]
    p99 = [Figure(f"{what}: p99", "ms", [sample.p99 for sample in runs]) for what, runs in samples.items()]
    return [figure for pair in zip(p50, p99, strict=True) for figure in pair]


def figures(found: Mapping[str, Sequence[Sample]], peer: Mapping[str, Sequence[Sample]], name: str) -> list[Figure]:
    """Rates, costs and times of all sides; those of the rounds with the `peer` of that name say so."""
    beside = {what if what == name else f"{what}, beside LiteLLM": runs for what, runs in peer.items()}
    shown = {**found, **beside}
    return [*rates(shown).values(), *costs(shown).values(), *waits(shown)]


def proof(samples: Mapping[str, Sequence[Sample]]) -> str:
    """Who was busy: the servers should be, and not whoever asked them."""
    shares = [f"{what} {median(sample.busy for sample in runs):.0%}" for what, runs in samples.items()]
    highest = max(sample.load for runs in samples.values() for sample in runs)
    return f"of a core, the servers took: {', '.join(shares)}; the load generator at most {highest:.0%}"


def cpu_seconds(pid: int) -> float:
    """CPU time that a process and its living children have taken so far."""
    parent = psutil.Process(pid)
    times = [each.cpu_times() for each in (parent, *parent.children(recursive=True))]
    return sum(time_.user + time_.system for time_ in times)


def _measure(side: Side, seconds: float) -> Sample:
    parts = urlsplit(side.url)
    assert parts.hostname
    assert parts.port
    generator = Generator(parts.hostname, parts.port)
    server, own = cpu_seconds(side.pid), _own_seconds()
    answers = asyncio.run(generator.closed_loop(CLIENTS, seconds, side.requests))
    server, own = cpu_seconds(side.pid) - server, _own_seconds() - own
    _check(side, answers)
    took = [answer.took * 1000 for answer in answers]
    waited = percentile(took, 0.5), percentile(took, 0.99)
    return Sample(len(took) / seconds, server * 1000 / len(took), *waited, busy=server / seconds, load=own / seconds)


def _check(side: Side, answers: Sequence[Answered]) -> None:
    wrong = {answer.status for answer in answers} - {side.status}
    if wrong or not answers:
        raise WrongAnswerError(f"{side.what} answered {sorted(wrong)} instead of {side.status}.")


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
