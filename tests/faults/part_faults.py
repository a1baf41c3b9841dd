"""Faults around Simmer: the broker, Postgres, the network between them, the model server, and administrators."""

import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import redis

from app.adapters.queue import RUN_JOB
from app.domain.ids import public_id
from tests.faults.deployment import APIS, LEASE, WORKERS
from tests.faults.scene import Scene, celery_of


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
def running_streams_lost(scene: Scene) -> Iterator[None]:
    with redis.Redis.from_url(scene.deployment.broker.url) as broker:
        for _round in range(20):
            for key in broker.scan_iter("simmer:events:*"):
                broker.delete(key)
            time.sleep(0.05)
        yield


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
    link = scene.linked((*APIS, *WORKERS)).links["postgres"]
    for _round in range(5):
        # That of a transaction, or of a statement that is one by itself.
        link.swallow_next_reply(scene.random.choice([b"COMMIT", None]))
        time.sleep(0.2)
    yield
    link.pass_through()


@contextmanager
def worker_cut_off_from_postgres(scene: Scene) -> Iterator[None]:
    link = scene.linked(WORKERS).links["postgres"]
    link.half_open()
    yield
    time.sleep(LEASE * 1.5)
    link.pass_through()


@contextmanager
def broker_link_half_open(scene: Scene) -> Iterator[None]:
    link = scene.linked((*APIS, *WORKERS)).links["broker"]
    link.half_open()
    yield
    time.sleep(2)
    link.pass_through()


@contextmanager
def slow_network(scene: Scene) -> Iterator[None]:
    node = scene.linked((*APIS, *WORKERS))
    for link in node.links.values():
        link.delay(0.05)
    yield
    time.sleep(2)
    for link in node.links.values():
        link.pass_through()


@contextmanager
def connections_reset(scene: Scene) -> Iterator[None]:
    node = scene.linked((*APIS, *WORKERS))
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
def tasks_delivered_ten_times(scene: Scene) -> Iterator[None]:
    celery = celery_of(scene.deployment)
    for job_id in scene.jobs("queued", "in_progress"):
        for _copy in range(10):
            task_id = public_id(job_id)
            celery.send_task(RUN_JOB, args=(task_id,), task_id=task_id, queue="default")
    yield


@contextmanager
def tasks_terminated_by_an_administrator(scene: Scene) -> Iterator[None]:
    """As Flower does it."""
    celery = celery_of(scene.deployment)
    for job_id in scene.jobs("in_progress"):
        celery.control.revoke(public_id(job_id), terminate=True)
    yield
