"""Faults of Simmer's own machines: killed, frozen, stopped, or with a wrong clock."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from tests.faults.deployment import APIS, BEATS, LEASE, POISON_ATTEMPTS, SYSTEM, WORKERS, Node
from tests.faults.scene import Scene, fake_clock
from tests.processes import wait_until

PATIENCE = 300.0
"""Seconds for something to happen to a job, which may wait behind thousands of others."""


@contextmanager
def _down(*nodes: Node) -> Iterator[None]:
    for node in nodes:
        node.kill()
    yield
    for node in nodes:
        node.heal()


def api_killed(scene: Scene) -> AbstractContextManager[None]:
    return _down(scene.one_of(APIS))


@contextmanager
def api_stopped(scene: Scene) -> Iterator[None]:
    node = scene.one_of(APIS)
    node.terminate()
    yield
    node.heal()


def worker_killed(scene: Scene) -> AbstractContextManager[None]:
    return _down(scene.one_of(WORKERS))


def all_workers_killed(scene: Scene) -> AbstractContextManager[None]:
    return _down(*scene.deployment.workers)


def system_worker_killed(scene: Scene) -> AbstractContextManager[None]:
    return _down(scene.deployment.nodes[SYSTEM])


def beat_killed(scene: Scene) -> AbstractContextManager[None]:
    return _down(scene.one_of(BEATS))


@contextmanager
def worker_frozen_then_killed(scene: Scene) -> Iterator[None]:
    """What it has taken from the broker, and not yet from the database, is gone with it."""
    node = scene.one_of(WORKERS)
    node.freeze()
    yield
    node.kill()
    node.heal()


@contextmanager
def worker_frozen_past_its_lease(scene: Scene) -> Iterator[None]:
    node = scene.one_of(WORKERS)
    node.freeze()
    yield
    time.sleep(LEASE * 1.5)
    node.resume()


@contextmanager
def worker_stopped(scene: Scene) -> Iterator[None]:
    node = scene.one_of(WORKERS)
    node.terminate()
    yield
    node.heal()


@contextmanager
def job_that_kills_its_worker(scene: Scene) -> Iterator[None]:
    """Its worker dies with all that it holds, as often as the job may be tried."""
    scene.load.submit(model="poison", max_attempts=POISON_ATTEMPTS)
    workers = scene.deployment.workers
    for _attempt in range(POISON_ATTEMPTS):
        wait_until(lambda: not all(node.process.running for node in workers), PATIENCE, "a worker dies of it")
        for node in workers:
            node.heal()
    yield


@contextmanager
def clocks_wrong(scene: Scene) -> Iterator[None]:
    """An API and a worker come back two hours in the future or in the past."""
    with ExitStack() as stack:
        for nodes in (APIS, WORKERS):
            node = scene.one_of(nodes)
            node.kill()
            node.start(**fake_clock(scene.random.choice(["+2h", "-2h"])))
            stack.callback(node.heal)
            stack.callback(node.kill)
        yield
        time.sleep(3)
