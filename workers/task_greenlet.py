"""One task in a greenlet: its limits, and the verdict that outweighs whatever its body still does or returns.

The body meets these, wherever it waits:

- `SoftTimeLimitExceeded`, an ordinary exception: the body decides how the task ends.
- `WorkerDraining`: hand the work back and re-raise it; Celery then tells of a retry.
- `TaskAborted`, once a verdict is given (hard limit, revoke, abort): again every `GRACE` seconds until it is gone.

Code that never waits cannot be interrupted under gevent; prefork is for that.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated
from celery.exceptions import Retry, SoftTimeLimitExceeded
from celery.worker.request import Request
from gevent import Greenlet, get_hub, spawn_raw
from greenlet import GreenletExit

GRACE = 5.0
"""Seconds that a task gets for cleaning up, before it is interrupted again."""

ABORTED = "aborted"
"""The `signum` in event and signal of a task revoked by `abort()`; an administrator's revoke has a number or None."""

Report = Callable[[], object]


class TaskAborted(GreenletExit):
    """The task is over, whatever its body does: revoked, aborted, or past its hard limit.

    No Exception, so that no `except Exception` in a client library takes it for a failed call and tries again.
    """


class WorkerDraining(BaseException):
    """The worker is about to exit; no Exception for the same reason as TaskAborted."""


class Phase(Enum):
    WAITING = auto()
    RUNNING = auto()
    OVER = auto()


@dataclass(frozen=True, slots=True)
class Call:
    """What Celery asks of the pool for one task. Limits are in seconds, None means none."""

    task_id: str
    request: Request
    target: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    soft_limit: float | None
    hard_limit: float | None
    on_accepted: Callable[[int, float], object]
    on_success: Callable[[Any], object]
    on_failure: Callable[[ExceptionInfo], object]
    on_timeout: Callable[[bool, float], object]


class TaskGreenlet(Greenlet):
    """Runs one task to exactly one report to Celery.

    Exceptions are thrown by the hub, which looks at the phase in the same breath: none can hit the report of a task
    that ended just before, as it could if another greenlet had looked.
    """

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call
        self._phase = Phase.WAITING
        self._verdict: Report | None = None
        self._timers: list[Any] = []

    def revoke(self) -> None:
        """Celery has announced or is about to announce the outcome: any report of ours would contradict it."""
        self._verdict = _already_announced
        self._throw_until_gone()

    def abort(self) -> bool:
        """End as revoked; False if the outcome is already being reported."""
        if self._phase is Phase.OVER:
            return False
        self._verdict = self._verdict or partial(self._report_failure, Terminated(ABORTED))
        self._throw_until_gone()
        return True

    def drain(self) -> None:
        """Ask the body to hand its work back. What it does then counts, unlike after a verdict."""
        if self._phase is Phase.RUNNING:
            self._start_timer(0.0, self._throw, WorkerDraining)
        else:
            self._verdict = self._verdict or self._report_handed_back

    def give_up(self) -> None:
        """End a task that did not heed `drain()`."""
        self._verdict = self._verdict or self._report_handed_back
        self._throw_until_gone()

    def terminate(self, signum: int) -> None:
        """Part of Celery's interface; `TaskPool.terminate_job` does it."""

    def _run(self) -> None:
        try:
            self.call.on_accepted(id(self), time.monotonic())
            report = self._verdict or self._run_body()
        finally:
            self._phase = Phase.OVER
            self._close_timers()
        report()

    def _run_body(self) -> Report:
        report: Report
        self._phase = Phase.RUNNING
        self._start_limits()
        try:
            result = self.call.target(*self.call.args, **self.call.kwargs)
        except WorkerDraining:
            report = self._report_handed_back
        except BaseException as error:  # noqa: BLE001 - Celery decides what each kind means; the worker lives on
            report = partial(self._report_failure, error)
        else:
            report = partial(self.call.on_success, result)
        return self._verdict or report

    def _start_limits(self) -> None:
        if self.call.soft_limit:
            self._start_timer(self.call.soft_limit, self._pass_soft_limit)
        if self.call.hard_limit:
            self._start_timer(self.call.hard_limit, self._pass_hard_limit, repeat=GRACE)

    def _pass_soft_limit(self) -> None:
        if self._verdict:
            return
        # Celery's callback logs, which may block, and this is the hub.
        spawn_raw(self.call.on_timeout, True, self.call.soft_limit)
        self._throw(SoftTimeLimitExceeded, self.call.soft_limit)

    def _pass_hard_limit(self) -> None:
        self._verdict = self._verdict or partial(self.call.on_timeout, False, self.call.hard_limit or 0)
        self._throw(TaskAborted)

    def _throw_until_gone(self) -> None:
        if self._phase is not Phase.OVER:
            self._start_timer(0.0, self._throw, TaskAborted, repeat=GRACE)

    def _throw(self, kind: type[BaseException], *args: object) -> None:
        if self._phase is Phase.RUNNING:
            self.throw(kind(*args))

    def _start_timer(self, after: float, callback: Callable[..., None], *args: object, repeat: float = 0.0) -> None:
        timer = get_hub().loop.timer(after, repeat)
        self._timers.append(timer)
        timer.start(callback, *args, update=True)

    def _close_timers(self) -> None:
        for timer in self._timers:
            timer.stop()
            timer.close()
        self._timers.clear()

    def _report_handed_back(self) -> None:
        self._report_failure(Retry("the worker is shutting down", exc=WorkerDraining()))

    def _report_failure(self, error: BaseException) -> None:
        try:
            raise error
        except BaseException:  # noqa: BLE001 - ExceptionInfo needs a traceback, which only a raise gives
            info = ExceptionInfo()
        # Celery takes the wrapper off only what came from another process, and would show it in its events.
        info.exception = error
        self.call.on_failure(info)


def _already_announced() -> None:
    pass
