"""The faults that the soak injects. Each is a context manager: something is broken while the block runs, and mended at
its end.
"""

import importlib.util
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import redis
from celery import Celery

from app.adapters.queue import RUN_JOB, celery_config
from app.domain.ids import public_id
from tests.faults.deployment import APIS, BEATS, LEASE, POISON_ATTEMPTS, SYSTEM, WORKERS, Deployment, Node
from tests.faults.load import Load
from tests.processes import wait_until


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault happens, and the chance that decides where exactly."""

    deployment: Deployment
    load: Load
    random: random.Random


Fault = Callable[[Scene], AbstractContextManager[None]]


def _one_of(scene: Scene, nodes: Sequence[str]) -> Node:
    return scene.deployment.nodes[scene.random.choice(nodes)]


@contextmanager
def _down(*nodes: Node) -> Iterator[None]:
    for node in nodes:
        node.kill()
    yield
    for node in nodes:
        node.heal()


def api_killed(scene: Scene) -> AbstractContextManager[None]:
    return _down(_one_of(scene, APIS))


def worker_killed(scene: Scene) -> AbstractContextManager[None]:
    return _down(_one_of(scene, WORKERS))


def all_workers_killed(scene: Scene) -> AbstractContextManager[None]:
    return _down(*scene.deployment.workers)


def system_worker_killed(scene: Scene) -> AbstractContextManager[None]:
    return _down(scene.deployment.nodes[SYSTEM])


def beat_killed(scene: Scene) -> AbstractContextManager[None]:
    return _down(_one_of(scene, BEATS))


@contextmanager
def worker_frozen_then_killed(scene: Scene) -> Iterator[None]:
    """What it has taken from the broker, and not yet from the database, is gone with it."""
    node = _one_of(scene, WORKERS)
    node.freeze()
    yield
    node.kill()
    node.heal()


@contextmanager
def worker_frozen_past_its_lease(scene: Scene) -> Iterator[None]:
    node = _one_of(scene, WORKERS)
    node.freeze()
    yield
    time.sleep(LEASE * 1.5)
    node.resume()


@contextmanager
def worker_stopped(scene: Scene) -> Iterator[None]:
    node = _one_of(scene, WORKERS)
    node.terminate()
    yield
    node.heal()


@contextmanager
def api_stopped(scene: Scene) -> Iterator[None]:
    node = _one_of(scene, APIS)
    node.terminate()
    yield
    node.heal()


@contextmanager
def broker_killed_and_emptied(scene: Scene) -> Iterator[None]:
    scene.deployment.broker.kill()
    for written in scene.deployment.folder.glob("broker/valkey/appendonly*"):
        shutil.rmtree(written)
    yield
    scene.deployment.broker.start()


@contextmanager
def broker_flushed(scene: Scene) -> Iterator[None]:
    with redis.Redis.from_url(scene.deployment.broker.url) as broker:
        broker.flushall()
        yield
        broker.flushall()


@contextmanager
def broker_frozen(scene: Scene) -> Iterator[None]:
    with scene.deployment.frozen(scene.deployment.broker.process):
        yield
        time.sleep(3)


@contextmanager
def broker_full(scene: Scene) -> Iterator[None]:
    with redis.Redis.from_url(scene.deployment.broker.url) as broker:
        broker.config_set("maxmemory", 1)
        yield
        time.sleep(2)
        broker.config_set("maxmemory", 0)


@contextmanager
def postgres_killed(scene: Scene) -> Iterator[None]:
    scene.deployment.postgres.kill()
    yield
    scene.deployment.postgres.start()


@contextmanager
def disk_full(scene: Scene) -> Iterator[None]:
    """What fits into the files that are there can still be written; what does not may end Postgres."""
    with scene.deployment.disk.full():
        yield
        time.sleep(2)
    scene.deployment.postgres.come_back()


@contextmanager
def jobs_table_locked(scene: Scene) -> Iterator[None]:
    """Every connection of every pool soon waits."""
    with psycopg.connect(scene.deployment.postgres.url) as connection:
        connection.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        yield
        time.sleep(1)


@contextmanager
def backends_terminated(scene: Scene) -> Iterator[None]:
    with psycopg.connect(scene.deployment.postgres.url, autocommit=True) as connection:
        for _round in range(20):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'simmer' AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
            time.sleep(0.05)
        yield


@contextmanager
def commit_reply_swallowed(scene: Scene) -> Iterator[None]:
    link = _linked(scene, (*APIS, *WORKERS)).links["postgres"]
    for _round in range(5):
        link.swallow_next_reply(b"COMMIT")
        time.sleep(0.2)
    yield
    link.pass_through()


@contextmanager
def worker_cut_off_from_postgres(scene: Scene) -> Iterator[None]:
    link = _linked(scene, WORKERS).links["postgres"]
    link.half_open()
    yield
    time.sleep(LEASE * 1.5)
    link.pass_through()


@contextmanager
def broker_link_half_open(scene: Scene) -> Iterator[None]:
    link = _linked(scene, (*APIS, *WORKERS)).links["broker"]
    link.half_open()
    yield
    time.sleep(2)
    link.pass_through()


@contextmanager
def slow_network(scene: Scene) -> Iterator[None]:
    node = _linked(scene, (*APIS, *WORKERS))
    for link in node.links.values():
        link.delay(0.05)
    yield
    time.sleep(2)
    for link in node.links.values():
        link.pass_through()


@contextmanager
def connections_reset(scene: Scene) -> Iterator[None]:
    node = _linked(scene, (*APIS, *WORKERS))
    for link in node.links.values():
        link.reset()
    yield
    for link in node.links.values():
        link.pass_through()


def upstream_hangs(scene: Scene) -> AbstractContextManager[None]:
    return _upstream(scene, "[[hang]]", calls=20)


def upstream_breaks_off(scene: Scene) -> AbstractContextManager[None]:
    return _upstream(scene, scene.random.choice(["[[reset]]", "[[half]]", "[[close]]"]), calls=100)


def upstream_refuses(scene: Scene) -> AbstractContextManager[None]:
    return _upstream(scene, scene.random.choice(["[[status 503]]", "[[status 429 retry-after=1]]"]), calls=200)


@contextmanager
def _upstream(scene: Scene, script: str, *, calls: int) -> Iterator[None]:
    scene.deployment.upstream.set_mode(script, for_calls=calls, for_seconds=3)
    yield
    scene.deployment.upstream.clear_mode()


@contextmanager
def job_that_kills_its_worker(scene: Scene) -> Iterator[None]:
    """Its worker dies with all that it holds, as often as the job may be tried."""
    scene.load.submit(model="poison", max_attempts=POISON_ATTEMPTS)
    workers = scene.deployment.workers
    for _attempt in range(POISON_ATTEMPTS):
        wait_until(lambda: not all(node.process.running for node in workers), 60, "a worker dies of it")
        for node in workers:
            node.heal()
    yield


@contextmanager
def tasks_delivered_ten_times(scene: Scene) -> Iterator[None]:
    celery = celery_of(scene.deployment)
    for job_id in _jobs(scene, "queued", "in_progress"):
        for _copy in range(10):
            task_id = public_id(job_id)
            celery.send_task(RUN_JOB, args=(task_id,), task_id=task_id, queue="default")
    yield


@contextmanager
def tasks_terminated_by_an_administrator(scene: Scene) -> Iterator[None]:
    """As Flower does it."""
    celery = celery_of(scene.deployment)
    for job_id in _jobs(scene, "in_progress"):
        celery.control.revoke(public_id(job_id), terminate=True)
    yield


@contextmanager
def running_streams_lost(scene: Scene) -> Iterator[None]:
    with redis.Redis.from_url(scene.deployment.broker.url) as broker:
        for _round in range(20):
            for key in broker.scan_iter("simmer:events:*"):
                broker.delete(key)
            time.sleep(0.05)
        yield


@contextmanager
def clocks_wrong(scene: Scene) -> Iterator[None]:
    """An API and a worker come back two hours in the future or in the past."""
    with ExitStack() as stack:
        for nodes in (APIS, WORKERS):
            node = _one_of(scene, nodes)
            node.kill()
            node.start(**fake_clock(scene.random.choice(["+2h", "-2h"])))
            stack.callback(node.heal)
            stack.callback(node.kill)
        yield
        time.sleep(3)


def fake_clock(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is wrong by an offset such as `-2h`; time passes at the right pace."""
    # Found, not imported: the import has the importing process start itself anew.
    found = importlib.util.find_spec("libfaketime")
    assert found
    assert found.origin
    library = Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
    return {"LD_PRELOAD": str(library), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1"}


def celery_of(deployment: Deployment) -> Celery:
    celery = Celery("faults", set_as_current=False)
    celery.conf.update(celery_config(deployment.container.settings))
    return celery


def _jobs(scene: Scene, *statuses: str) -> list[UUID]:
    """Up to twenty jobs that are in one of these states."""
    with psycopg.connect(scene.deployment.postgres.url) as connection:
        found: list[Any] = connection.execute(
            "SELECT id FROM jobs WHERE status = ANY(%s) ORDER BY id DESC LIMIT 20", (list(statuses),)
        ).fetchall()
    return [job_id for (job_id,) in found]


def _linked(scene: Scene, nodes: Sequence[str]) -> Node:
    """One of the nodes that speak through proxies."""
    return scene.random.choice([node for name in nodes if (node := scene.deployment.nodes[name]).links])


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        api_killed,
        api_stopped,
        commit_reply_swallowed,
        worker_killed,
        all_workers_killed,
        worker_frozen_then_killed,
        worker_frozen_past_its_lease,
        worker_stopped,
        broker_killed_and_emptied,
        broker_flushed,
        broker_frozen,
        broker_full,
        broker_link_half_open,
        postgres_killed,
        disk_full,
        jobs_table_locked,
        backends_terminated,
        worker_cut_off_from_postgres,
        connections_reset,
        slow_network,
        upstream_hangs,
        upstream_breaks_off,
        upstream_refuses,
        job_that_kills_its_worker,
        tasks_delivered_ten_times,
        clocks_wrong,
        beat_killed,
        system_worker_killed,
        tasks_terminated_by_an_administrator,
        running_streams_lost,
    )
}
"""All of them, by name."""
