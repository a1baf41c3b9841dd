"""The real Celery app in a pytest-celery cluster: its nodes do what administrators ask, and stand in for each other."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from pytest_celery import CeleryBrokerCluster, CeleryTestSetup, CeleryWorkerCluster

from app.adapters.queue import celery_config
from app.container import Container
from app.domain.ids import public_id
from app.domain.jobs import Job
from app.domain.lifecycle import Status
from app.domain.requests import JobRequest, message
from app.services.keys import Caller
from app.settings import Settings
from tests.celery_nodes import ValkeyNode, WorkerNode
from tests.cluster import environment
from tests.processes import wait_until
from tests.upstream.client import MockUpstream

SLOTS = 3


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[ValkeyNode]:
    with ValkeyNode(tmp_path / "broker") as node:
        yield node


@pytest.fixture
def settings(settings: Settings, broker: ValkeyNode) -> Settings:
    """On the cluster's own broker."""
    return settings.model_copy(update={"broker_url": broker.url})


@pytest.fixture
def cluster(settings: Settings, broker: ValkeyNode, models_file: Path, tmp_path: Path) -> Iterator[CeleryTestSetup]:
    """Two job workers and one for system work."""
    app = Celery("test", set_as_current=False)
    app.conf.update(celery_config(settings))
    env = environment(settings.database_url, settings.broker_url, models_file)
    queues = {"jobs-1": "default", "jobs-2": "default", "system": "system"}
    nodes = [_worker(name, queue, tmp_path, app, env) for name, queue in queues.items()]
    with ExitStack() as started:
        for node in nodes:
            started.enter_context(node)
        yield CeleryTestSetup(CeleryWorkerCluster(*nodes), CeleryBrokerCluster(broker), None, app)
        # An orderly stop takes seconds, and is tested elsewhere.
        for node in nodes:
            node.kill()


def _worker(name: str, queue: str, folder: Path, app: Celery, env: dict[str, str]) -> WorkerNode:
    pool = ("-P", "gevent", "-c", str(SLOTS), "-E")
    return WorkerNode("workers.celery_app", folder / name, *pool, name=name, app=app, env=env, queue=queue)


def _submit(container: Container, owner: UUID, text: str) -> Job:
    caller = Caller(owner, frozenset(), container.settings.key_limits)
    return container.jobs.submit(caller, JobRequest("m", (message("user", text),))).job


def _wait(container: Container, owner: UUID, job: Job, status: Status) -> Job:
    def reached() -> Job | None:
        found = container.jobs.get(owner, job.id)
        return found if found.status is status else None

    found = wait_until(reached, 60, f"{public_id(job.id)} {status}")
    assert found
    return found


def test_administrators_see_and_steer_a_running_job(
    cluster: CeleryTestSetup, container: Container, api_key_id: UUID, upstream: MockUpstream
) -> None:
    job = _submit(container, api_key_id, "administered [[hang]]")
    upstream.wait_for_call("administered", 30)
    inspect = cluster.app.control.inspect(timeout=5)
    active: dict[str, list[dict[str, Any]]] = inspect.active()
    tasks = [task for tasks in active.values() for task in tasks]
    assert [(task["id"], task["name"], task["args"]) for task in tasks] == [
        (public_id(job.id), "jobs.run", [public_id(job.id)])
    ]
    assert set(inspect.ping()) == {node.hostname() for node in cluster.worker_cluster}
    cluster.app.control.revoke(public_id(job.id), terminate=True)
    _wait(container, api_key_id, job, Status.CANCELLED)
    upstream.wait_closed("administered", 10)


def test_a_job_revoked_while_it_waits_in_the_queue_ends_cancelled(
    cluster: CeleryTestSetup, container: Container, api_key_id: UUID, upstream: MockUpstream
) -> None:
    running = [_submit(container, api_key_id, f"fills a worker {number} [[gate fills]]") for number in range(2 * SLOTS)]
    upstream.wait_in_flight("fills a worker", len(running), 30)
    waiting = _submit(container, api_key_id, "revoked while queued")
    cluster.app.control.revoke(public_id(waiting.id), reply=True, timeout=5)
    upstream.open_gate("fills")
    _wait(container, api_key_id, waiting, Status.CANCELLED)
    for job in running:
        _wait(container, api_key_id, job, Status.COMPLETED)
    assert not upstream.calls("revoked while queued")


def test_the_job_of_a_killed_node_runs_on_the_other(
    cluster: CeleryTestSetup, container: Container, api_key_id: UUID, upstream: MockUpstream
) -> None:
    job = _submit(container, api_key_id, "cluster [[gate cluster]]")
    upstream.wait_for_call("cluster", 30)
    first = next(node for node in cluster.worker_cluster if _runs(node, job))
    first.kill()
    wait_until(lambda: container.maintenance.sweep().rescued, 30, "the lost job is rescued")
    upstream.wait_for_call("cluster", 30, attempt=2)
    upstream.open_gate("cluster")
    assert _wait(container, api_key_id, job, Status.COMPLETED).attempt == 2


def _runs(node: WorkerNode, job: Job) -> bool:
    return any(task["id"] == public_id(job.id) for task in node.inspect("active"))
