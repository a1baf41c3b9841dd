"""Worker pools whose tasks keep their limits, can be aborted by task id, and hand their work back at shutdown.

Celery 5.7's gevent pool ignores soft limits, reports a terminated task as succeeded, and waits without end for its
tasks at shutdown. See `task_greenlet` for what a task's body meets.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from billiard.exceptions import Terminated
from celery import bootsteps, concurrency
from celery.concurrency import gevent as celery_gevent
from celery.concurrency import prefork as celery_prefork
from celery.worker import state
from gevent import spawn_raw
from gevent.pool import PoolFull

from workers.task_greenlet import ABORTED, GRACE, Call, TaskAborted, TaskGreenlet, WorkerDraining

__all__ = [
    "ABORTED",
    "GRACE",
    "PreforkPool",
    "SlotGate",
    "TaskAborted",
    "TaskPool",
    "WorkerDraining",
    "abort",
    "install",
]

logger = logging.getLogger(__name__)

SLOT_POLL = 0.5
"""Seconds between two looks at whether the worker shuts down, while waiting for a free slot."""

SLOT_WAIT = 10.0
"""Seconds that a full pool keeps Celery's loop from looking at its connection."""


class TaskPool(celery_gevent.TaskPool):
    """The pool behind `-P gevent` after `install()`."""

    drain_timeout: float | None = None
    may_take: Callable[[], bool] = staticmethod(lambda: True)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.spawn_n = self._spawn_control
        self.control_error: Exception | None = None

    def on_start(self) -> None:
        super().on_start()
        _pools.append(self)

    def on_stop(self) -> None:
        """Wait `drain_timeout` for the tasks, then have them hand back; returns within 2 * GRACE more, come what may.

        Celery has stopped consuming by now, on SIGTERM as well as on a remote `shutdown`.
        """
        if self._pool is None:
            return
        if not self._pool.join(self.drain_timeout):
            self._hand_back()
        _pools.remove(self)

    def on_apply(self, target: Any, args: Any = None, kwargs: Any = None, **options: Any) -> TaskGreenlet | None:
        """Start the task as soon as a slot is free; None if the worker shuts down first.

        The message then stays unacknowledged, and the broker's client puts it back when the channel closes.
        """
        greenlet = TaskGreenlet(self._call(target, args or (), kwargs or {}, options))
        while self.active and not _shutting_down():
            try:
                self._pool.start(greenlet, timeout=SLOT_POLL)
            except PoolFull:
                continue
            self._add_to_pool_map(id(greenlet), greenlet)
            greenlet.rawlink(self._keep_known)
            return greenlet
        return None

    def wait_for_slot(self) -> bool:
        """Wait until a task could start at once; False after `SLOT_WAIT`, or earlier if the caller has to see to it."""
        deadline = time.monotonic() + SLOT_WAIT
        # After a shrink the count is negative, which is no free slot either.
        while self._pool.wait_available(SLOT_POLL) <= 0:
            if _shutting_down() or self.control_error or time.monotonic() > deadline:
                return False
        return True

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        if greenlet := self._pool_map.get(pid):
            greenlet.revoke()

    def tasks(self) -> list[TaskGreenlet]:
        return list(self._pool)

    def _spawn_control(self, listen: Callable[..., None], *args: Any) -> Any:
        # Celery starts its remote control with this, and again with each new connection.
        return spawn_raw(self._listen, listen, *args)

    def _listen(self, listen: Callable[..., None], *args: Any) -> None:
        self.control_error = None
        try:
            listen(*args)
        except Exception as error:  # noqa: BLE001 - it is for the main loop to reconnect
            logger.warning("remote control is interrupted: %r", error)
            self.control_error = error

    def _call(self, target: Any, args: Any, kwargs: Any, options: Mapping[str, Any]) -> Call:
        return Call(
            task_id=options["correlation_id"],
            request=options["accept_callback"].__self__,
            target=target,
            args=args,
            kwargs=kwargs,
            soft_limit=options.get("soft_timeout") or self.options.get("soft_timeout"),
            hard_limit=options.get("timeout") or self.timeout,
            on_accepted=options["accept_callback"],
            on_success=options["callback"],
            on_failure=options["error_callback"],
            on_timeout=options["timeout_callback"],
        )

    def _keep_known(self, ended: TaskGreenlet) -> None:
        # Celery's register has one request per id: the end of a second delivery takes the first, still running, out of
        # it, and a revoke would not find it any more.
        for task in self.tasks():
            if task is not ended and task.call.task_id == ended.call.task_id:
                state.requests[task.call.task_id] = task.call.request

    def _hand_back(self) -> None:
        logger.warning("%d tasks are still running: asking them to hand their work back", len(self._pool))
        for task in self.tasks():
            task.drain()
        if self._pool.join(GRACE):
            return
        for task in self.tasks():
            task.give_up()
        if not self._pool.join(GRACE):
            logger.error("leaving with tasks that do not end: %s", [task.call.task_id for task in self.tasks()])


_pools: list[TaskPool] = []


def _shutting_down() -> bool:
    # The flags hold an exit code, and 0 is one.
    return any(flag is not None and flag is not False for flag in (state.should_stop, state.should_terminate))


class SlotGate(bootsteps.StartStopStep):
    """Lets a gevent worker on Redis take a message as soon as, and not before, a slot is free for it.

    Nor while `TaskPool.may_take` says no; then it looks again every two seconds.

    `worker_disable_prefetch` alone holds back as well, but then looks again only every two seconds: a full pool of 20
    slots would start 10 tasks a second at most. Add it with `app.steps["consumer"].add(SlotGate)`.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, c: Any) -> None:
        # An autoscaler grows the pool when more is reserved than it has slots for: the gate would keep it from that.
        if not isinstance(c.pool, TaskPool) or c.controller.autoscale or c.connection.transport.driver_type != "redis":
            return
        qos = c.task_consumer.channel.qos
        may_consume = qos.can_consume

        def can_consume() -> bool:
            if c.pool.wait_for_slot() and TaskPool.may_take():
                return bool(may_consume())
            # With nothing to read, the loop would notice a lost connection only when a slot is free again, and a full
            # worker could not be reached for as long.
            if isinstance(c.pool.control_error, c.connection_errors):
                raise c.pool.control_error
            return False

        qos.can_consume = can_consume


class PreforkPool(celery_prefork.TaskPool):
    """The pool behind `-P prefork` after `install()`: Celery's own, whose tasks can be aborted from their process."""

    def apply_async(self, target: Any, args: Any = (), kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(_run_in_child, (target, *args), kwargs, **options)


@dataclass
class _Child:
    """The one task of a prefork child."""

    task_id: str | None = None
    aborted: bool = False


_child = _Child()


def _run_in_child(target: Callable[..., Any], name: str, task_id: str, *args: Any) -> Any:
    signal.signal(signal.SIGUSR2, _raise_aborted)
    _child.task_id, _child.aborted = task_id, False
    try:
        result = target(name, task_id, *args)
    except TaskAborted:
        result = None
    finally:
        _child.task_id = None
    if _child.aborted:
        raise Terminated(ABORTED)
    return result


def _raise_aborted(*_: object) -> None:
    # The task may have ended between the signal and its delivery.
    if _child.task_id is not None and _child.aborted:
        raise TaskAborted


def _abort_in_child(task_id: str) -> bool:
    if _child.task_id != task_id:
        return False
    _child.aborted = True
    # To the main thread by name: only there is a system call interrupted that the task waits in.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)
    return True


def abort(task_id: str) -> bool:
    """End a task that runs in this process; Celery tells of it as revoked. False if it is not running here.

    Under gevent call it from any greenlet (of the main thread), under prefork from any thread of the child.
    """
    found = [task for pool in _pools for task in pool.tasks() if task.call.task_id == task_id]
    # A message that was delivered twice makes two tasks of one id.
    aborted = [task.abort() for task in found]
    return any(aborted) or _abort_in_child(task_id)


def take_while(may_take: Callable[[], bool]) -> None:
    """Have a gevent worker take messages only while `may_take` says yes."""
    TaskPool.may_take = staticmethod(may_take)


def install(drain_timeout: float | None = 30.0) -> None:
    """Put these pools behind Celery's names, so that `-P gevent` keeps its monkey-patching.

    Call it while the Celery app is imported: the command line looks the pool up after the app. `drain_timeout` is in
    seconds, None waits for ever; a supervisor must leave the worker 2 * GRACE more before it kills.
    """
    TaskPool.drain_timeout = drain_timeout
    concurrency.ALIASES["gevent"] = f"{TaskPool.__module__}:{TaskPool.__qualname__}"
    concurrency.ALIASES["prefork"] = f"{PreforkPool.__module__}:{PreforkPool.__qualname__}"
