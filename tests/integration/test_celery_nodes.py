"""The local nodes for pytest-celery do to a process what their names say."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from tests.celery_nodes import ValkeyNode, WorkerNode
from tests.processes import wait_until

SOON = 30.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[ValkeyNode]:
    with ValkeyNode(tmp_path / "broker") as node:
        yield node


@pytest.fixture
def worker(broker: ValkeyNode, tmp_path: Path) -> Iterator[WorkerNode]:
    app = Celery("client", broker=broker.url, set_as_current=False)
    env = {"CELERY_BROKER_URL": broker.url}
    path = "tests.integration.workers.pool_app"
    with WorkerNode(path, tmp_path / "worker", "-P", "gevent", "-c", "4", app=app, env=env) as node:
        yield node


def send(worker: WorkerNode) -> str:
    return str(worker.app.send_task("tests.integration.workers.pool_app.job", (0,), queue=worker.worker_queue).id)


@pytest.mark.parametrize("empty", [False, True])
def test_broker_restarts_with_or_without_its_data(broker: ValkeyNode, empty: bool) -> None:
    broker.client().set("kept", "1")
    broker.restart(force=True, empty=empty)
    assert broker.client().exists("kept") == (not empty)


def test_frozen_node_does_nothing_until_resumed(worker: WorkerNode) -> None:
    worker.freeze()
    task_id = send(worker)
    worker.assert_log_does_not_exist(task_id, timeout=2)
    worker.resume()
    worker.assert_log_exists(f"{task_id} started")


def test_killed_worker_comes_back_with_a_log_of_its_own(worker: WorkerNode) -> None:
    first = send(worker)
    worker.assert_log_exists(f"{first} started")
    worker.kill()
    assert worker.exit_code() == -signal.SIGKILL
    worker.start(env={"EXTRA": "1"})
    assert first not in worker.logs()
    second = send(worker)
    worker.assert_log_exists(f"{second} started")
    assert worker.inspect("active") == []


def test_argv_and_environment_reach_the_process(worker: WorkerNode) -> None:
    worker.container.stop()
    worker.start("--concurrency", "7", env={"DRAIN_TIMEOUT": "1"})
    pool = worker.inspect("stats")["pool"]
    assert pool["max-concurrency"] == 7
    assert pool["implementation"] == "workers.pool:TaskPool", "the app installs it where DRAIN_TIMEOUT is set"


def test_worker_consumes_again_after_the_broker_was_killed(worker: WorkerNode, broker: ValkeyNode) -> None:
    broker.restart(force=True, empty=True)
    task_id = send(worker)
    worker.wait_for_log(f"{task_id} started", timeout=60)


def test_terminated_worker_exits_by_itself(worker: WorkerNode) -> None:
    worker.terminate()
    assert worker.exit_code() == 0
    wait_until(lambda: not worker.running, SOON, "end of the worker")
