"""Two hundred jobs stream at once from one worker process, each to a reader: whether all arrives, and how late."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.apart import apart
from benchmarks.outcome import Figure, Goal, Outcome, percentile
from benchmarks.rates import cpu_seconds
from benchmarks.recorder import Answer, connect, create
from benchmarks.stack import Stack, running

RUNS = 3
STREAMS = 200
RATE = 50
SECONDS = 15
TOKENS = RATE * SECONDS
"""Of one stream."""
ARRIVALS = 100.0
"""Readers that come in a second, each to create a job and to read its stream."""
RUN_TIMEOUT = 120.0
WANTED = 250.0
PROCESSES = ("worker", "api", "upstream")


@dataclass(frozen=True)
class Read:
    """What one run's readers got."""

    lags: Sequence[float]
    """Milliseconds from the upstream's sending a token until it was read, of all tokens."""
    lost: int
    """Tokens that never came, or were not the ones that the job holds in the end."""
    events: int
    """In which the tokens came: Simmer gathers those that come close together."""
    seconds: float
    """From the first token that was sent to the last one that was read."""
    cores: Sequence[float]
    """How busy each of PROCESSES was, and then the readers' own."""


def run() -> Outcome:
    """One API process with all readers, one worker with all jobs."""
    with running() as stack:
        stack.cluster.worker("worker", concurrency=1000)
        stack.cluster.system()
        url = stack.cluster.api()
        runs = [_run(stack, url) for _ in range(RUNS)]
    lag = Figure("lag p99", "ms", [percentile(run.lags, 0.99) for run in runs])
    lost = Figure("tokens lost", "", [run.lost for run in runs])
    figures = [
        Figure("tokens read", "a second", [len(run.lags) / run.seconds for run in runs]),
        Figure("events they came in", "a second", [run.events / run.seconds for run in runs]),
        lost,
        Figure("lag p50", "ms", [percentile(run.lags, 0.5) for run in runs]),
        lag,
        Figure("the longest lag", "ms", [max(run.lags) for run in runs]),
        *(
            Figure(f"CPU of {name}", "cores", [run.cores[index] for run in runs])
            for index, name in enumerate([*PROCESSES, "readers"])
        ),
    ]
    goals = [
        Goal("tokens lost", max(lost.runs), 0, "tokens", at_least=False),
        Goal(f"lag p99 of {STREAMS} streams", lag.median, WANTED, "ms", at_least=False),
    ]
    notes = [
        f"{RUNS} runs of {STREAMS} streams of {TOKENS} tokens at {RATE} a second; readers in a process of their own"
    ]
    return Outcome("streams", f"{STREAMS} streams at {RATE} tokens a second", figures, goals, notes)


def _run(stack: Stack, url: str) -> Read:
    processes = [stack.cluster.started(name) for name in PROCESSES]
    before = [cpu_seconds(process.pid) for process in processes]
    load = apart(_read_all, url, stack.keys[0], timeout=RUN_TIMEOUT)
    used = [cpu_seconds(process.pid) - start for process, start in zip(processes, before, strict=True)]
    return _checked(load.result, used, load.share)


async def _read_all(url: str, key: str) -> Sequence[Answer]:
    prompt = f"[[tokens {TOKENS} at {RATE}]]"

    async def read(number: int) -> Answer:
        await asyncio.sleep(number / ARRIVALS)
        connection = await connect(url)
        answer = await connection.ask(create(prompt, key, stream=True))
        connection.close()
        return answer

    return await asyncio.gather(*(read(number) for number in range(STREAMS)))


def _checked(answers: Sequence[Answer], used: Sequence[float], share: float) -> Read:
    lags, first, last, events, lost = [], float("inf"), 0.0, 0, 0
    for answer in answers:
        deltas, text = _said(answer)
        sent = [(at, float(token)) for at, delta in deltas for token in delta.split()]
        if "".join(delta for _, delta in deltas) != text or len(sent) != TOKENS:
            lost += max(1, TOKENS - len(sent))
        lags += [(at - sent_at) * 1000 for at, sent_at in sent]
        first, last = min(first, sent[0][1]), max(last, sent[-1][0])
        events += len(deltas)
    seconds = last - first
    return Read(lags, lost, events, seconds, [*(cpu / seconds for cpu in used), share])


def _said(answer: Answer) -> tuple[list[tuple[float, str]], str]:
    """The deltas with the times at which they were read, and the whole text as the job holds it in the end."""
    deltas, text = [], ""
    for frame in answer.frames():
        event = json.loads(frame.data)
        if event["type"] == "response.output_text.delta":
            deltas.append((frame.at, event["delta"]))
        elif event["type"] == "response.completed":
            text = event["response"]["output"][0]["content"][0]["text"]
    return deltas, text
