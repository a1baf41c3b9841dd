"""What happens to jobs when the workers that run them are killed, frozen, stopped, or cut off."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

import pytest

from app.adapters.queue import RUN_JOB
from app.domain.ids import parse_public_id
from tests.faults.conftest import Loaded
from tests.faults.deployment import LEASE, POISON_ATTEMPTS, Deployment, Node
from tests.faults.scene import celery_of
from tests.processes import wait_until

RECOVERY = LEASE + 15
"""Seconds in which lost jobs must run again (row 5)."""
DRAIN = 4.0
"""Seconds that the stopped worker of row 8 leaves its jobs: enough on a busy machine, and less than a lease."""
PATIENCE = 60.0

_numbers = count(1)


def _held(deployment: Deployment, attempt: int = 1) -> tuple[str, str, Node]:
    """The words and the id of a job that a worker holds at a gate of the same name, and that worker."""
    words = f"held-{next(_numbers)}-end"
    job_id = deployment.client().submit(f"{words} [[gate {words}]]")
    deployment.upstream.wait_for_call(words, PATIENCE, attempt=attempt)
    return words, job_id, _holder(deployment, job_id)


def _holder(deployment: Deployment, job_id: str) -> Node:
    with deployment.database() as connection:
        found = connection.execute("SELECT worker FROM jobs WHERE id = %s", (parse_public_id(job_id),)).fetchone()
    assert found
    return deployment.nodes[found[0].partition("@")[0]]


@contextmanager
def _only(deployment: Deployment, node: Node) -> Iterator[None]:
    """The other job workers are down while the block runs."""
    others = [other for other in deployment.workers if other is not node]
    for other in others:
        other.kill()
    yield
    for other in others:
        other.heal()


def test_a_worker_is_killed_in_the_middle_of_calls(deployment: Deployment, loaded: Loaded) -> None:
    """Row 4. Guarded by the lease, which runs out, and by the sweep, which queues the job again."""
    with loaded() as load:
        words, job_id, holder = _held(deployment)
        holder.kill()
        deployment.upstream.wait_for_call(words, RECOVERY, attempt=2)
        deployment.upstream.open_gate(words)
        load.wait_accepted(5)
    job = deployment.client().get(job_id)
    assert (job["status"], job["attempts"]) == ("completed", 2)


def test_all_workers_are_killed_and_new_ones_started(deployment: Deployment, loaded: Loaded) -> None:
    """Row 5. Guarded by the lease and the sweep, as row 4; measured from the kill, new workers come at once."""
    with loaded():
        held = [_held(deployment)[:2] for _ in range(5)]
        for node in deployment.workers:
            node.kill()
        killed_at = time.monotonic()
        deployment.heal()
        for words, _ in held:
            deployment.upstream.wait_for_call(words, RECOVERY - (time.monotonic() - killed_at), attempt=2)
        print(f"lease of {LEASE:g} s: all jobs ran again {time.monotonic() - killed_at:.1f} s after the kill")
        for words, _ in held:
            deployment.upstream.open_gate(words)
    for _, job_id in held:
        assert deployment.client().get(job_id)["attempts"] == 2


def test_an_idle_worker_dies_with_a_message_that_it_has_popped(deployment: Deployment, loaded: Loaded) -> None:
    """Row 6. Guarded by the sweep, which sends the messages of queued jobs again."""
    idle, _ = deployment.workers
    client = deployment.client()
    with _only(deployment, idle):
        # It waits in BRPOP: what is published now, the broker hands to its socket, and nobody reads it any more.
        wait_until(lambda: client.wait(client.submit("warm up"), "completed"), PATIENCE, "the worker runs jobs")
        idle.freeze()
        job_id = client.submit("popped by the frozen")
        wait_until(lambda: deployment.backlog("default") == 0, PATIENCE, "the message is popped")
        assert client.get(job_id)["status"] == "queued"
        idle.kill()
    job = client.wait(job_id, timeout=PATIENCE)
    assert (job["status"], job["attempts"]) == ("completed", 1)
    with loaded():
        idle.heal()


def test_a_worker_that_was_frozen_past_its_lease_writes_nothing(deployment: Deployment, loaded: Loaded) -> None:
    """Row 7. Guarded by the fencing token: a settle requires the attempt that the worker holds."""
    client = deployment.client()
    with loaded():
        held = [_held(deployment) for _ in range(6)]
        zombie = max(deployment.workers, key=[holder for *_, holder in held].count)
        (heir,) = (node for node in deployment.workers if node is not zombie)
        jobs = {words: job_id for words, job_id, holder in held if holder is zombie}
        zombie.freeze()
        frozen_at = time.monotonic()
        wait_until(lambda: time.monotonic() > frozen_at + 2 * LEASE, PATIENCE, "twice the lease")
        for words in jobs:
            deployment.upstream.wait_for_call(words, RECOVERY, attempt=2)
        # Both calls are answered, and the zombie is the first to read its answer: the jobs still run.
        heir.freeze()
        for words, *_ in held:
            deployment.upstream.open_gate(words)
        mark = zombie.process.log_size()
        zombie.resume()
        for job_id in jobs.values():
            refused = wait_until(partial(_verdict, zombie, job_id, mark), PATIENCE, "the zombie has tried")
            assert refused
            assert "job settled" not in refused
        heir.resume()
        for job_id in jobs.values():
            assert client.wait(job_id, timeout=PATIENCE)["status"] == "completed"


def _verdict(node: Node, job_id: str, mark: int) -> str | None:
    """What a worker wrote at the end of its work on a job."""
    ids = job_id, str(parse_public_id(job_id))
    said = "job settled", "job aborted", "is another's"
    lines = node.process.output(mark).splitlines()
    return next((line for line in lines if any(i in line for i in ids) and any(words in line for words in said)), None)


def test_a_stopped_worker_finishes_its_jobs_or_hands_them_back(deployment: Deployment, loaded: Loaded) -> None:
    """Row 8. Guarded by the pool's drain: what ends within it is settled, the rest is queued again."""
    client = deployment.client()
    leaving, _ = deployment.workers
    leaving.terminate()
    leaving.start(SIMMER_DRAIN_TIMEOUT=f"{DRAIN:g}")
    with loaded(), _only(deployment, leaving):
        short, short_id, _ = _held(deployment)
        long, long_id, _ = _held(deployment)
        ping = partial(celery_of(deployment).control.ping, [f"{leaving.name}@local"], timeout=1)
        wait_until(ping, PATIENCE, "the worker answers pings")
        leaving.process.kill(signal.SIGTERM)
        # It does so until the drain begins, and an answer that comes before that needs no drain.
        wait_until(lambda: not ping(), PATIENCE, "the drain begins")
        deployment.upstream.open_gate(short)
        assert client.wait(short_id, timeout=PATIENCE)["attempts"] == 1
        # Handed back at the end of the drain, long before its lease could run out.
        assert client.wait(long_id, "queued", timeout=LEASE)["attempts"] == 1
        assert leaving.process.wait(PATIENCE) == 0
        deployment.upstream.open_gate(long)
    job = client.wait(long_id, timeout=PATIENCE)
    assert (job["status"], job["attempts"]) == ("completed", 2)


def _taken(deployment: Deployment, node: Node) -> int:
    """How many messages it has taken."""
    name = f"{node.name}@local"
    stats = celery_of(deployment).control.inspect([name], timeout=1).stats
    taken: int = wait_until(stats, PATIENCE, "the worker answers")[name]["total"].get(RUN_JOB, 0)
    return taken


@pytest.mark.parametrize("broken", ["half_open", "reset"])
def test_a_worker_is_cut_off_from_postgres(deployment: Deployment, loaded: Loaded, broken: str) -> None:
    """Row 17. Guarded by the watch on leases, which aborts the calls of those that the heartbeat could not extend,
    and by the gate, which takes no messages while the database does not answer.
    """
    with loaded():
        words, job_id, lonely = _held(deployment)
        getattr(lonely.links["postgres"], broken)()
        # It may not call on when another may have the job.
        deployment.upstream.wait_closed(words, RECOVERY)
        taken = _taken(deployment, lonely)
        deployment.upstream.wait_for_call(words, RECOVERY, attempt=2)
        deployment.upstream.open_gate(words)
        job = deployment.client().wait(job_id, timeout=PATIENCE)
        assert (job["status"], job["attempts"]) == ("completed", 2)
        finished = deployment.client().get(job_id)
        # Nor take what it could not claim: of what was sent meanwhile it got the message it had just asked for at most.
        assert _taken(deployment, lonely) <= taken + 1
        lonely.links["postgres"].pass_through()
    assert deployment.client().get(job_id) == finished


def test_a_job_kills_its_worker_every_time(deployment: Deployment, loaded: Loaded) -> None:
    """Row 21. Guarded by the attempts, which are counted in the row before each try."""
    client = deployment.client()
    with loaded() as load:
        job_id = client.submit("poisonous", model="poison")
        for _ in range(POISON_ATTEMPTS):
            victims = wait_until(
                lambda: [node for node in deployment.workers if not node.process.running], PATIENCE, "a worker dies"
            )
            for node in victims:
                node.heal()
        load.wait_accepted(5)
    job = client.wait(job_id, timeout=PATIENCE)
    assert (job["status"], job["error"]["code"], job["attempts"]) == ("failed", "worker_lost", POISON_ATTEMPTS)
    assert all(node.process.running for node in deployment.workers)


def test_the_same_task_is_delivered_ten_times(deployment: Deployment, loaded: Loaded) -> None:
    """Row 22. Guarded by the claim, which takes a job in `queued` alone."""
    client = deployment.client()
    celery = celery_of(deployment)
    with loaded():
        words, job_id, _ = _held(deployment)
        for _ in range(10):
            celery.send_task(RUN_JOB, args=(job_id,), task_id=job_id, queue="default")
        wait_until(lambda: _claims_refused(deployment, job_id) >= 10, PATIENCE, "all ten are delivered")
        deployment.upstream.open_gate(words)
    job = client.get(job_id)
    assert (job["status"], job["attempts"], len(deployment.upstream.calls(words))) == ("completed", 1, 1)


def _claims_refused(deployment: Deployment, job_id: str) -> int:
    """How often a worker found nothing to claim under this id."""
    lines = [line for node in deployment.workers for line in node.process.output().splitlines()]
    return sum("nothing to claim" in line and job_id in line for line in lines)
