"""Creates of background responses, process for process: Simmer's, a bare handler's, a tutorial's and LiteLLM's.

Simmer checks a key, counts the request against its limits, validates it, commits a row, and publishes its id. The bare
handler commits a row and publishes its id.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from uuid import uuid4

from benchmarks import rates, sides
from benchmarks.backpressure import PROMPT, creates
from benchmarks.outcome import Goal, Outcome, ratio
from benchmarks.rates import ROUNDS, SECONDS, Sample, Side
from benchmarks.recorder import post
from benchmarks.stack import Stack, running

SIMMER, WITH_KEY, BARE, TUTORIAL, LITELLM = (
    "Simmer",
    "Simmer, with an Idempotency-Key",
    "bare Flask: insert and publish",
    "tutorial: Flask and Celery",
    "LiteLLM's proxy",
)
Found = Mapping[str, Sequence[Sample]]


def run() -> Outcome:
    """Without workers: what was created stays queued, which has Simmer count places up to its limit of a thousand."""
    notes = [f"{rates.CLIENTS} clients, {ROUNDS} rounds of {SECONDS:.0f} s on each side in turn; nobody takes the jobs"]
    with running() as stack:
        simmer = sides.simmer(stack)
        ours = Side(SIMMER, *simmer, creates(stack.keys, keep_alive=True))
        found = rates.alternate([ours, *_others(stack, simmer)])
        notes += [rates.proof(found), rates.compared(found, [SIMMER, WITH_KEY], BARE)]
        with sides.litellm_or_none(stack, notes) as litellm:
            peer: Found = {}
            if litellm:
                theirs = Side(LITELLM, litellm.url, litellm.pid, repeat(litellm.create_request(PROMPT)))
                peer = rates.alternate([ours, theirs])
                notes.append("LiteLLM's process runs what it creates as well; Simmer's leaves that to a worker")
    return Outcome(
        "create", "Create in the background", rates.figures(found, peer, LITELLM), _goals(found, peer), notes
    )


def _others(stack: Stack, simmer: sides.Served) -> Iterator[Side]:
    yield Side(WITH_KEY, *simmer, _with_idempotency_key(creates(stack.keys, keep_alive=True)))
    asked = {"model": "bench", "prompt": PROMPT}
    yield Side(BARE, *sides.bare(stack), repeat(post("/jobs", asked)))
    yield Side(TUTORIAL, *sides.tutorial(stack), repeat(post("/jobs", asked)), status=202)


def _with_idempotency_key(requests: Iterator[bytes]) -> Iterator[bytes]:
    for request in requests:
        yield request.replace(b"\r\n", b"\r\nIdempotency-Key: %s\r\n" % uuid4().hex.encode(), 1)


def _goals(found: Found, peer: Found) -> list[Goal]:
    rate = rates.rates(found)
    goals = [
        ratio("creates, against the bare handler", rate[SIMMER], rate[BARE], 0.7),
        ratio("creates with an Idempotency-Key, against the bare handler", rate[WITH_KEY], rate[BARE], 0.7),
    ]
    if peer:
        beside = rates.rates(peer)
        goals.append(ratio("creates, against LiteLLM's", beside[SIMMER], beside[LITELLM], 10))
    return goals
