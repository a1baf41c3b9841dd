"""How a task ends in its greenlet: limits, revokes, aborts, in a real pool."""

import gevent
import pytest
from billiard.exceptions import Terminated
from celery.exceptions import SoftTimeLimitExceeded
from gevent.event import Event

from tests.unit.workers.conftest import DEADLINE, FOREVER, Celery, join, until
from workers import task_greenlet
from workers.pool import ABORTED, TaskAborted, TaskPool, WorkerDraining, abort


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


def test_interruptions_pass_an_except_exception() -> None:
    assert not issubclass(TaskAborted, Exception)
    assert not issubclass(WorkerDraining, Exception)
