"""The pools in-process: real greenlets and signals, with a recorder in Celery's place."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from billiard.exceptions import Terminated
from celery import concurrency
from celery.concurrency import gevent as celery_gevent
from celery.exceptions import Retry, SoftTimeLimitExceeded
from celery.worker import state
from gevent.event import Event

from workers import pool as pools
from workers import task_greenlet
from workers.pool import ABORTED, PreforkPool, TaskAborted, TaskPool, WorkerDraining, abort, install

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


def test_task_is_reported_once(pool: TaskPool, celery: Celery) -> None:
    celery.apply(pool, lambda: (0, "x", 0.1), soft_timeout=FOREVER, timeout=FOREVER)
    join(pool)
    assert celery.reports == [("succeeded", (0, "x", 0.1))]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, gevent.Timeout])
def test_whatever_a_body_raises_ends_that_task_alone(
    pool: TaskPool, celery: Celery, error: type[BaseException]
) -> None:
    def body() -> None:
        raise error

    celery.apply(pool, body)
    join(pool)
    assert celery.kinds == [("failed", error)]


def test_soft_limit_reaches_the_body_which_may_go_on(pool: TaskPool, celery: Celery) -> None:
    def body() -> str:
        try:
            gevent.sleep(FOREVER)
        except SoftTimeLimitExceeded as limit:
            return f"partial after {limit.args[0]}"
        return "whole"

    celery.apply(pool, body, soft_timeout=0.05)
    join(pool)
    assert sorted(celery.reports) == [("soft", 0.05), ("succeeded", "partial after 0.05")]


def test_hard_limit_ends_a_body_that_catches_every_exception(pool: TaskPool, celery: Celery) -> None:
    celery.apply(pool, celery.stubborn(times=100, kinds=Exception), soft_timeout=0.05, timeout=0.1)
    join(pool)
    assert celery.seen == ["SoftTimeLimitExceeded"]
    assert celery.reports == [("soft", 0.05), ("hard", 0.1)]


def test_hard_limit_comes_again_until_the_body_is_gone(pool: TaskPool, celery: Celery) -> None:
    celery.apply(pool, celery.stubborn(times=2), timeout=0.05)
    join(pool)
    assert celery.seen == ["TaskAborted", "TaskAborted", "TaskAborted"]
    assert celery.reports == [("hard", 0.05)], "the verdict outweighs the normal return"


@pytest.mark.parametrize("none", [None, 0])
def test_no_limit(pool: TaskPool, celery: Celery, none: float | None) -> None:
    started = Event()
    celery.apply(pool, lambda: (started.set(), gevent.sleep(0.2)), soft_timeout=none, timeout=none)
    assert started.wait(DEADLINE)
    assert pool.tasks()[0]._timers == []
    join(pool)
    assert [kind for kind, _ in celery.reports] == ["succeeded"]


def test_limits_of_the_worker_hold_where_the_task_has_none(celery: Celery) -> None:
    pool = TaskPool(1, soft_timeout=0.05, timeout=0.1)
    pool.start()
    celery.apply(pool, celery.stubborn(times=100, kinds=Exception))
    join(pool)
    pool.stop()
    assert celery.reports == [("soft", 0.05), ("hard", 0.1)]


def test_limits_of_the_task_outrank_those_of_the_worker(celery: Celery) -> None:
    pool = TaskPool(1, soft_timeout=0.05, timeout=0.1)
    pool.start()
    celery.apply(pool, lambda: gevent.sleep(0.3), soft_timeout=FOREVER, timeout=FOREVER)
    join(pool)
    pool.stop()
    assert [kind for kind, _ in celery.reports] == ["succeeded"]


def test_no_limit_hits_the_report_of_a_task_that_ended_in_time(pool: TaskPool, celery: Celery) -> None:
    celery.report_takes = 0.4
    task = celery.apply(pool, lambda: "in time", soft_timeout=0.1, timeout=0.2)
    join(pool)
    assert celery.reports == [("succeeded", "in time")]
    assert task.exception is None
    assert task._timers == []


def test_abort_cannot_hit_the_report_either(pool: TaskPool, celery: Celery) -> None:
    celery.report_takes = 0.2
    task = celery.apply(pool, lambda: "in time")
    until(lambda: task._phase is task_greenlet.Phase.OVER)
    assert not abort(celery.task_id)
    join(pool)
    assert celery.reports == [("succeeded", "in time")]


def test_abort_that_arrives_as_the_body_ends_does_not_reach_the_report(pool: TaskPool, celery: Celery) -> None:
    # The body asks for its own end and returns without waiting: the exception finds the report running.
    celery.report_takes = 0.2
    task = celery.apply(pool, lambda: abort(celery.task_id))
    join(pool)
    assert task.exception is None
    assert celery.kinds == [("failed", Terminated)]


@pytest.mark.parametrize("times", [0, 2])
def test_aborted_task_is_reported_as_revoked_whatever_it_does(pool: TaskPool, celery: Celery, times: int) -> None:
    celery.apply(pool, celery.stubborn(times=times))
    gevent.sleep(0)
    assert abort(celery.task_id)
    join(pool)
    assert celery.seen == ["TaskAborted"] * (times + 1)
    assert celery.kinds == [("failed", Terminated)]
    assert str(celery.reports[0][1]) == ABORTED


def test_abort_finds_every_delivery_of_an_id_and_no_other_task(pool: TaskPool) -> None:
    twice, other = [Celery("same"), Celery("same")], Celery("other")
    for celery in (*twice, other):
        celery.apply(pool, celery.asleep)
    gevent.sleep(0)
    assert abort("same")
    until(lambda: len(pool.tasks()) == 1)
    assert [celery.kinds for celery in twice] == [[("failed", Terminated)]] * 2
    assert other.reports == []
    assert not abort("unknown")


def test_abort_before_the_start_skips_the_body(pool: TaskPool, celery: Celery) -> None:
    celery.apply(pool, celery.asleep)
    assert abort(celery.task_id)
    join(pool)
    assert celery.seen == []
    assert celery.kinds == [("failed", Terminated)]


@pytest.mark.parametrize("revoked", [True, False])
def test_acceptance_is_not_interrupted(pool: TaskPool, celery: Celery, revoked: bool) -> None:
    def accept() -> None:
        gevent.sleep(0.2)
        celery.seen.append("accepted")

    celery.during_accept = accept
    celery.apply(pool, celery.asleep)
    gevent.sleep(0.05)
    if revoked:
        pool.terminate_job(celery.pid, 15)
    else:
        abort(celery.task_id)
    join(pool)
    assert celery.seen == ["accepted"], "and the body did not start"
    assert celery.kinds == ([] if revoked else [("failed", Terminated)])


def test_revoke_leaves_the_report_to_celery(pool: TaskPool, celery: Celery) -> None:
    celery.apply(pool, celery.stubborn(times=0))
    gevent.sleep(0)
    pool.terminate_job(celery.pid, 15)
    join(pool)
    assert celery.seen == ["TaskAborted"]
    assert celery.reports == []


def test_revoke_during_acceptance_skips_the_body(pool: TaskPool, celery: Celery) -> None:
    # Request.on_accepted does this for a revoke that came before the task had a greenlet.
    celery.during_accept = lambda: pool.terminate_job(celery.pid, 15)
    celery.apply(pool, celery.asleep)
    join(pool)
    assert celery.seen == []
    assert celery.reports == []


def test_revoke_silences_a_verdict_that_is_not_reported_yet(pool: TaskPool, celery: Celery) -> None:
    celery.apply(pool, celery.stubborn(times=1), timeout=0.05)
    until(lambda: celery.seen)
    pool.terminate_job(celery.pid, 15)
    join(pool)
    assert celery.reports == []


def test_stop_waits_for_tasks_that_end_in_time(pool: TaskPool, celery: Celery) -> None:
    pool.drain_timeout = DEADLINE
    celery.apply(pool, lambda: gevent.sleep(0.1))
    started = time.monotonic()
    pool.stop()
    assert [kind for kind, _ in celery.reports] == ["succeeded"]
    assert time.monotonic() - started < DEADLINE


def test_stop_lets_a_body_hand_back(pool: TaskPool, celery: Celery) -> None:
    def body() -> None:
        try:
            gevent.sleep(FOREVER)
        except WorkerDraining:
            celery.seen.append("handed back")
            raise

    celery.apply(pool, body)
    gevent.sleep(0)
    pool.stop()
    assert celery.seen == ["handed back"]
    assert celery.kinds == [("failed", Retry)]


def test_body_may_still_succeed_while_draining(pool: TaskPool, celery: Celery) -> None:
    celery.apply(pool, celery.stubborn(seconds=0.1, kinds=WorkerDraining))
    gevent.sleep(0)
    pool.stop()
    assert celery.seen == ["WorkerDraining"]
    assert celery.reports == [("succeeded", "done")]


def test_stop_ends_bodies_that_ignore_it(pool: TaskPool, celery: Celery) -> None:
    celery.apply(pool, celery.stubborn(times=1))
    gevent.sleep(0)
    pool.stop()
    assert celery.seen == ["WorkerDraining", "TaskAborted"]
    assert celery.kinds == [("failed", Retry)], "its normal return came too late"


def test_stop_returns_though_a_body_swallows_everything(pool: TaskPool, celery: Celery) -> None:
    task = celery.apply(pool, celery.stubborn(times=10))
    gevent.sleep(0)
    with gevent.Timeout(DEADLINE):
        pool.stop()
    assert not task.dead
    until(lambda: task.dead)


def test_tasks_that_have_not_begun_do_not_begin_while_draining(pool: TaskPool, celery: Celery) -> None:
    def hold() -> None:
        celery.seen.append("accepted")
        gevent.sleep(0.1)

    celery.during_accept = hold
    celery.apply(pool, celery.asleep)
    gevent.sleep(0)
    pool.stop()
    assert celery.seen == ["accepted"]
    assert celery.kinds == [("failed", Retry)]


@pytest.mark.parametrize("exitcode", [0, 1])
def test_message_that_waits_for_a_slot_is_not_started_once_the_worker_stops(
    pool: TaskPool, monkeypatch: pytest.MonkeyPatch, exitcode: int
) -> None:
    pool.shrink(9)
    running, waiting = Celery("running"), Celery("waiting")
    running.apply(pool, running.asleep)
    consumer = gevent.spawn(lambda: waiting.apply(pool, waiting.asleep))
    gevent.sleep(0.1)
    assert not consumer.ready(), "the pool is full"
    monkeypatch.setattr(state, "should_stop", exitcode)
    assert consumer.get(timeout=DEADLINE) is None
    assert [task.call.task_id for task in pool.tasks()] == ["running"]
    assert waiting.reports == []


def test_grow_lets_a_waiting_message_in_and_shrink_keeps_the_next_out(pool: TaskPool) -> None:
    pool.shrink(9)
    tasks = [Celery(f"task-{number}") for number in range(3)]
    tasks[0].apply(pool, tasks[0].asleep)
    second = gevent.spawn(lambda: tasks[1].apply(pool, tasks[1].asleep))
    gevent.sleep(0.1)
    assert not second.ready()
    pool.grow(1)
    assert second.get(timeout=DEADLINE)
    pool.shrink(1)
    abort("task-0")
    until(lambda: len(pool.tasks()) == 1)
    third = gevent.spawn(lambda: tasks[2].apply(pool, tasks[2].asleep))
    gevent.sleep(0.1)
    assert not third.ready()
    third.kill()


def test_waiting_for_a_slot_ends_when_one_is_free(
    pool: TaskPool, celery: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "SLOT_WAIT", FOREVER)
    pool.shrink(9)
    assert pool.wait_for_slot()
    celery.apply(pool, celery.asleep)
    waiting = gevent.spawn(pool.wait_for_slot)
    gevent.sleep(0.1)
    assert not waiting.ready()
    abort(celery.task_id)
    assert waiting.get(timeout=DEADLINE) is True


def test_waiting_for_a_slot_has_a_deadline(pool: TaskPool, celery: Celery) -> None:
    celery.apply(pool, celery.asleep)
    pool.shrink(10)
    with gevent.Timeout(DEADLINE):
        assert pool.wait_for_slot() is False, "one task too many runs already"


def test_waiting_for_a_slot_ends_with_the_worker(
    pool: TaskPool, celery: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "SLOT_WAIT", FOREVER)
    pool.shrink(9)
    celery.apply(pool, celery.asleep)
    waiting = gevent.spawn(pool.wait_for_slot)
    gevent.sleep(0.1)
    monkeypatch.setattr(state, "should_stop", 0)
    assert waiting.get(timeout=DEADLINE) is False


def test_waiting_for_a_slot_ends_when_remote_control_loses_its_connection(
    pool: TaskPool, celery: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listen(lost: Event) -> None:
        lost.wait()
        raise ConnectionError

    monkeypatch.setattr(pools, "SLOT_WAIT", FOREVER)
    pool.shrink(9)
    celery.apply(pool, celery.asleep)
    lost = Event()
    pool.spawn_n(listen, lost)
    waiting = gevent.spawn(pool.wait_for_slot)
    gevent.sleep(0.1)
    assert not waiting.ready()
    lost.set()
    assert waiting.get(timeout=DEADLINE) is False
    assert isinstance(pool.control_error, ConnectionError)
    pool.spawn_n(listen, Event())
    until(lambda: pool.control_error is None)


def test_slots_are_free_again_after_every_kind_of_end(pool: TaskPool) -> None:
    for number in range(3 * pool.limit):
        celery = Celery(f"task-{number}")
        celery.apply(pool, celery.asleep, timeout=0.05 if number % 3 == 0 else None)
        gevent.sleep(0)
        if number % 3 == 1:
            pool.terminate_job(celery.pid, 15)
        elif number % 3 == 2:
            abort(celery.task_id)
    join(pool)
    assert pool._pool._semaphore.counter == pool.limit
    assert pool._pool_map == {}


def test_install_answers_to_celerys_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "ALIASES", dict(concurrency.ALIASES))
    monkeypatch.setattr(TaskPool, "drain_timeout", None)
    install(drain_timeout=7)
    assert concurrency.get_implementation("gevent") is TaskPool
    assert concurrency.get_implementation("prefork") is PreforkPool
    assert issubclass(TaskPool, celery_gevent.TaskPool)
    assert TaskPool.drain_timeout == 7


@pytest.mark.parametrize("swallow", [(), BaseException], ids=["raised", "swallowed"])
def test_prefork_child_ends_an_aborted_task_as_terminated(swallow: Any) -> None:
    def target(name: str, task_id: str) -> str:
        threading.Timer(0.1, abort, [task_id]).start()
        try:
            time.sleep(DEADLINE)
        except swallow:
            return "went on"
        return "never interrupted"

    started = time.monotonic()
    with pytest.raises(Terminated, match=ABORTED):
        pools._run_in_child(target, "some.task", "task-1")
    assert time.monotonic() - started < DEADLINE


def test_prefork_child_passes_results_and_errors_on() -> None:
    assert pools._run_in_child(lambda name, task_id, x: (name, task_id, x), "some.task", "task-1", 5) == (
        "some.task",
        "task-1",
        5,
    )
    with pytest.raises(ZeroDivisionError):
        pools._run_in_child(lambda *_: 1 / 0, "some.task", "task-1")
    assert not abort("task-1"), "it has ended"


def test_signal_that_comes_after_the_end_of_a_prefork_task_harms_nothing() -> None:
    assert pools._run_in_child(lambda *_: "done", "some.task", "task-1") == "done"
    pools._child.aborted = True
    pools._raise_aborted()
    assert pools._run_in_child(lambda *_: "done", "some.task", "task-2") == "done"


def test_interruptions_pass_an_except_exception() -> None:
    assert not issubclass(TaskAborted, Exception)
    assert not issubclass(WorkerDraining, Exception)
