"""A broker for the module, workers on it, and a tape of the events they send."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from pytest_celery import CeleryBrokerCluster, CeleryTestSetup, CeleryWorkerCluster

from tests.celery_nodes import ValkeyNode, WorkerNode
from tests.processes import wait_until

ENDS = {"task-succeeded", "task-failed", "task-revoked", "task-retried", "task-rejected"}


class EventTape:
    """Every event of the broker, in order, as Flower sees them."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._events: list[dict[str, Any]] = []
        self._listening = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._record, daemon=True)

    def __enter__(self) -> "EventTape":
        self._thread.start()
        assert self._listening.wait(10), "the event receiver did not connect"
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(10)

    def of(self, task_id: str) -> list[str]:
        """The types of this task's events so far."""
        return [event["type"] for event in list(self._events) if event.get("uuid") == task_id]

    def end(self, task_id: str, timeout: float = 30) -> dict[str, Any]:
        """Wait for the event that ends the task."""

        def found() -> dict[str, Any] | None:
            for event in list(self._events):
                if event.get("uuid") == task_id and event["type"] in ENDS:
                    return event
            return None

        event = wait_until(found, timeout, f"the end of task {task_id}, after {self.of(task_id)}")
        assert event
        return event

    def _record(self) -> None:
        with self._app.connection_for_read() as connection:
            receiver = self._app.events.Receiver(connection, handlers={"*": self._events.append})
            with receiver.consumer_context() as (consuming, _, _):
                self._listening.set()
                while not self._stopped.is_set():
                    try:
                        consuming.drain_events(timeout=0.2)
                    except TimeoutError:
                        continue


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyNode]:
    with ValkeyNode(tmp_path_factory.mktemp("broker")) as node:
        yield node


@pytest.fixture(scope="module")
def app(broker: ValkeyNode) -> Celery:
    """The test's own handle: it publishes by name and controls the workers."""
    return Celery("client", broker=broker.url, set_as_current=False)


@pytest.fixture(scope="module")
def tape(app: Celery) -> Iterator[EventTape]:
    with EventTape(app) as tape:
        yield tape


@pytest.fixture(scope="module")
def make_worker(broker: ValkeyNode, app: Celery, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., WorkerNode]:
    """Gives a worker that is not started yet; each name has its own queue unless told otherwise."""

    def make(name: str, *args: str, queue: str = "", env: dict[str, str] | None = None) -> WorkerNode:
        folder: Path = tmp_path_factory.mktemp(name)
        env = {"CELERY_BROKER_URL": broker.url, "DRAIN_TIMEOUT": "1"} | (env or {})
        path = "tests.integration.workers.pool_app"
        return WorkerNode(path, folder, *args, name=name, app=app, env=env, queue=queue or name)

    return make


@pytest.fixture(scope="module")
def celery_setup(broker: ValkeyNode, app: Celery, make_worker: Callable[..., WorkerNode]) -> Iterator[CeleryTestSetup]:
    """One broker and one worker with 50 slots, shared by the tests that leave it running."""
    with make_worker("shared", "-P", "gevent", "-c", "50") as worker:
        yield CeleryTestSetup(CeleryWorkerCluster(worker), CeleryBrokerCluster(broker), None, app)
