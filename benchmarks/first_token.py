"""What Simmer adds to the time to the first token of a stream, against the model server asked straight."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.outcome import Figure, Goal, Outcome, percentile
from benchmarks.recorder import Answer, Recorder, connect, create, stream_from_upstream
from benchmarks.stack import Stack, running

RUNS = 3
ROUNDS = 100
"""Of a run; in each, all ways are taken once."""
WARM_UP = 20
LONGEST_PAUSE = 0.02
WANTED = 15.0
PROMPT = "[[tokens 1 at 1000]]"
STRAIGHT, BACKGROUND, SYNCHRONOUS = WAYS = ("straight", "background stream", "synchronous stream")


class Took(NamedTuple):
    """Milliseconds of one request."""

    there: float
    """Until the upstream sent the first token."""
    back: float
    """From then until it arrived."""

    @property
    def whole(self) -> float:
        """To the first token."""
        return self.there + self.back


Run = Mapping[str, Sequence[Took]]
"""What was found on each of WAYS."""


def run() -> Outcome:
    """An API process and a worker, one request at a time."""
    with running() as stack:
        stack.cluster.worker(concurrency=1000)
        stack.cluster.system()
        url = stack.cluster.api()
        asyncio.run(_rounds(stack, url, WARM_UP))
        runs = [asyncio.run(_rounds(stack, url, ROUNDS)) for _ in range(RUNS)]
    added = {way: _added(way, runs) for way in (BACKGROUND, SYNCHRONOUS)}
    goals = [
        Goal(f"first token, {way}, more than straight, p50", figures[0].median, WANTED, "ms", at_least=False)
        for way, figures in added.items()
    ]
    figures = [figure for way in WAYS for figure in (*_figures(way, runs), *added.get(way, ()))]
    notes = [f"{RUNS} runs of {ROUNDS} requests on each way, in turn, one at a time, on connections that stay open"]
    return Outcome("first_token", "Time to the first token", figures, goals, notes)


def _figures(way: str, runs: Sequence[Run]) -> list[Figure]:
    return [
        *(Figure(f"{way}, p{part * 100:.0f}", "ms", [_whole(run[way], part) for run in runs]) for part in (0.5, 0.99)),
        Figure(f"{way}, until the upstream sent it, p50", "ms", [median(t.there for t in run[way]) for run in runs]),
        Figure(f"{way}, from then on, p50", "ms", [median(t.back for t in run[way]) for run in runs]),
    ]


def _added(way: str, runs: Sequence[Run]) -> list[Figure]:
    return [
        Figure(
            f"{way}, more than straight, p{part * 100:.0f}",
            "ms",
            [_whole(run[way], part) - _whole(run[STRAIGHT], part) for run in runs],
        )
        for part in (0.5, 0.99)
    ]


def _whole(took: Sequence[Took], part: float) -> float:
    return percentile([one.whole for one in took], part)


@dataclass(frozen=True)
class _Way:
    """Asks on a connection of its own."""

    connection: Recorder
    request: bytes

    async def take(self) -> Took:
        return _took(await self.connection.ask(self.request))


async def _rounds(stack: Stack, url: str, rounds: int) -> Run:
    simmer = partial(create, PROMPT, stack.keys[0], stream=True)
    ways = {
        STRAIGHT: _Way(
            await connect(stack.upstream_url), stream_from_upstream(urlsplit(stack.upstream_url).path, PROMPT)
        ),
        BACKGROUND: _Way(await connect(url), simmer(background=True)),
        SYNCHRONOUS: _Way(await connect(url), simmer(background=False)),
    }
    found: dict[str, list[Took]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(await way.take())
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE))  # noqa: S311 - a pause, no secret
    for way in ways.values():
        way.connection.close()
    return found


def _took(answer: Answer) -> Took:
    """By the time that the token itself tells, which is when it left the upstream."""
    for frame in answer.frames():
        if token := _token(json.loads(frame.data)):
            left_at = float(token)
            return Took((left_at - answer.sent_at) * 1000, (frame.at - left_at) * 1000)
    raise AssertionError("a stream without a token")


def _token(event: Mapping[str, Any]) -> Any:
    """The text of the event, if it has some, as Simmer or the upstream tells it."""
    match event:
        case {"type": "response.output_text.delta", "delta": delta}:
            return delta
        case {"choices": [{"delta": {"content": content}}]}:
            return content
    return None
