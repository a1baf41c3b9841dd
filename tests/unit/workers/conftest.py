"""A real gevent pool in the test's own process, and a recorder in Celery's place."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from celery.worker import state

from workers import pool as pools
from workers import task_greenlet
from workers.pool import TaskPool

DEADLINE = 5.0
TICK = 0.02
FOREVER = 600


class Celery:
    """Stands where Celery's Request does: it keeps what the pool reports."""

    def __init__(self, task_id: str = "task-1") -> None:
        self.task_id = task_id
        self.reports: list[Any] = []
        self.seen: list[str] = []
        self.during_accept: Callable[[], object] = lambda: None
        self.report_takes = 0.0

    def accepted(self, pid: int, _: float) -> None:
        self.pid = pid
        self.during_accept()

    def succeeded(self, result: Any) -> None:
        gevent.sleep(self.report_takes)
        self.reports.append(("succeeded", result))

    def failed(self, info: Any) -> None:
        self.reports.append(("failed", info.exception))

    def timed_out(self, soft: bool, limit: float) -> None:
        self.reports.append(("soft" if soft else "hard", limit))

    @property
    def kinds(self) -> list[Any]:
        """The reports, with an exception's class in place of the exception."""
        return [(kind, type(what) if isinstance(what, BaseException) else what) for kind, what in self.reports]

    def apply(self, pool: TaskPool, body: Callable[[], Any], **limits: float | None) -> Any:
        return pool.apply_async(
            body,
            accept_callback=self.accepted,
            callback=self.succeeded,
            error_callback=self.failed,
            timeout_callback=self.timed_out,
            correlation_id=self.task_id,
            **limits,
        )

    def stubborn(self, seconds: float = FOREVER, times: int = 1, kinds: Any = BaseException) -> Callable[[], str]:
        """A body that swallows the first `times` interruptions, and returns normally."""

        def body() -> str:
            for _ in range(times + 1):
                try:
                    gevent.sleep(seconds)
                except kinds as interruption:
                    self.seen.append(type(interruption).__name__)
            return "done"

        return body

    def asleep(self) -> None:
        self.seen.append("started")
        gevent.sleep(FOREVER)


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_greenlet, "GRACE", 0.2)
    monkeypatch.setattr(pools, "GRACE", 0.2)
    monkeypatch.setattr(pools, "SLOT_POLL", 0.05)
    monkeypatch.setattr(pools, "SLOT_WAIT", 0.2)
    monkeypatch.setattr(state, "should_stop", None)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskPool]:
    monkeypatch.setattr(TaskPool, "drain_timeout", 0)
    pool = TaskPool(10)
    pool.start()
    yield pool
    if pool in pools._pools:
        pool.stop()


@pytest.fixture
def celery() -> Celery:
    return Celery()


def join(pool: TaskPool) -> None:
    assert pool._pool.join(DEADLINE), "tasks did not end in time"


def until(condition: Callable[[], object]) -> None:
    with gevent.Timeout(DEADLINE):
        while not condition():
            gevent.sleep(TICK)
