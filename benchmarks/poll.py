"""Polls of one response, process for process: Simmer's, a bare select's, a tutorial's and LiteLLM's.

Simmer checks a key, counts the request against its limits, reads the row if it is the key's and not expired, and tells
the place in the queue of a job that waits. The bare handler reads a row by its id.
"""

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import psycopg

from benchmarks import rates, sides
from benchmarks.backpressure import PROMPT
from benchmarks.outcome import Goal, Outcome, ratio
from benchmarks.rates import ROUNDS, SECONDS, Sample, Side
from benchmarks.recorder import get
from benchmarks.stack import Stack, running
from tests.cluster import Client
from tests.processes import wait_until

BEFORE = 1000
"""Jobs that wait before one that stands at the end of a long queue."""
QUEUED, DEEP, COMPLETED, BARE_QUEUED, BARE_COMPLETED, TUTORIAL, LITELLM = (
    "Simmer, queued and next",
    f"Simmer, queued behind {BEFORE:,}",
    "Simmer, completed",
    "bare Flask: select, queued",
    "bare Flask: select, completed",
    "tutorial, completed",
    "LiteLLM's proxy, completed",
)
PATIENCE = 30.0
Found = Mapping[str, Sequence[Sample]]


def run() -> Outcome:
    """Each side is asked for the same response again and again; none of them keeps it in the process."""
    notes = [f"{rates.CLIENTS} clients, {ROUNDS} rounds of {SECONDS:.0f} s on each side in turn"]
    with running() as stack:
        asked = {side.what: side for side in (*_simmer(stack), *_bare(stack), _tutorial(stack))}
        found = rates.alternate([*asked.values()])
        notes += [rates.proof(found), rates.compared(found, [QUEUED, DEEP], BARE_QUEUED)]
        notes.append(rates.compared(found, [COMPLETED], BARE_COMPLETED))
        with sides.litellm_or_none(stack, notes) as litellm:
            peer: Found = {}
            if litellm:
                request = litellm.poll_request(litellm.completed_response())
                theirs = Side(LITELLM, litellm.url, litellm.pid, repeat(request))
                peer = rates.alternate([asked[COMPLETED], asked[BARE_COMPLETED], theirs])
                rate = rates.rates(peer)
                most = rate[BARE_COMPLETED].median / rate[LITELLM].median
                notes.append(f"the bare select itself answers {most:.1f} times what LiteLLM does")
    return Outcome("poll", "Poll", rates.figures(found, peer, LITELLM), _goals(found, peer), notes)


def _simmer(stack: Stack) -> list[Side]:
    """A job that has completed, one that is next, and one at the end of a long queue."""
    served, key = sides.simmer(stack), stack.keys[0]
    client = Client(served.url, key)
    worker = stack.cluster.worker()
    completed = client.submit(PROMPT)
    client.wait(completed, "completed")
    worker.stop()
    jobs = {COMPLETED: completed, QUEUED: client.submit(PROMPT)}
    for _ in range(BEFORE):
        jobs[DEEP] = client.submit(PROMPT)
    return [Side(what, *served, repeat(get(f"/v1/model/response/{job_id}", key))) for what, job_id in jobs.items()]


def _bare(stack: Stack) -> list[Side]:
    """Two rows, one of them with a result like that of Simmer's job."""
    served = sides.bare(stack)
    jobs = {what: _start(served.url)["id"] for what in (BARE_QUEUED, BARE_COMPLETED)}
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        output = "(SELECT output FROM jobs WHERE status = 'completed' LIMIT 1)"
        statement = f"UPDATE floor_jobs SET status = 'completed', result = {output} WHERE id = %s"  # noqa: S608
        connection.execute(statement, [jobs[BARE_COMPLETED]])
    return [Side(what, *served, repeat(get(f"/jobs/{job_id}"))) for what, job_id in jobs.items()]


def _tutorial(stack: Stack) -> Side:
    """A task whose result is there."""
    served = sides.tutorial(stack)
    worker = sides.tutorial_worker(stack, concurrency=1)
    path = f"/jobs/{_start(served.url, 202)['result_id']}"
    client = Client(served.url, "")
    wait_until(lambda: client.request("GET", path).json["ready"], PATIENCE, "the tutorial's task has ended")
    worker.stop()
    return Side(TUTORIAL, *served, repeat(get(path)))


def _start(url: str, status: int = 200) -> Any:
    """What a POST of a job answers."""
    reply = Client(url, "").request("POST", "/jobs", {"model": "bench", "prompt": PROMPT})
    assert reply.status == status, reply
    return reply.json


def _goals(found: Found, peer: Found) -> list[Goal]:
    rate = rates.rates(found)
    goals = [
        ratio("polls of a queued response, against the bare select", rate[QUEUED], rate[BARE_QUEUED], 0.7),
        ratio("polls of a completed response, against the bare select", rate[COMPLETED], rate[BARE_COMPLETED], 0.7),
    ]
    if peer:
        beside = rates.rates(peer)
        goals.append(ratio("polls, against LiteLLM's", beside[COMPLETED], beside[LITELLM], 10))
    return goals
