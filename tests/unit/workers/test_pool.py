"""The gevent pool: drain at shutdown, slots, and the names it is installed under."""

import time

import gevent
import pytest
from celery import concurrency
from celery.concurrency import gevent as celery_gevent
from celery.exceptions import Retry
from celery.worker import state
from gevent.event import Event

from tests.unit.workers.conftest import DEADLINE, FOREVER, Celery, join, until
from workers import pool as pools
from workers.pool import PreforkPool, TaskPool, WorkerDraining, abort, install


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
