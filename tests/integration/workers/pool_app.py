"""A stand-in Celery app with Simmer's pools and none of its jobs; its bodies say in the log what they meet."""

import logging
import os
import threading
import time
from typing import Any

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.worker import state as worker_state
from celery.worker.control import control_command, inspect_command

from workers import pool
from workers.events import EventBatches

log = logging.getLogger(__name__)

app = Celery("pool_app")
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=os.environ.get("DISABLE_PREFETCH") == "1",
    worker_send_task_events=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": 5},
)
app.steps["consumer"].add(EventBatches)
if os.environ.get("SLOT_GATE") == "1":
    app.steps["consumer"].add(pool.SlotGate)
if "DRAIN_TIMEOUT" in os.environ:
    pool.install(drain_timeout=float(os.environ["DRAIN_TIMEOUT"]))


@app.task
def sleep(seconds: float) -> None:
    time.sleep(seconds)


@app.task(bind=True)
def soft(self: Any, seconds: float) -> str:
    try:
        time.sleep(seconds)
    except SoftTimeLimitExceeded:
        return "partial"
    return "whole"


@app.task(bind=True)
def stubborn(self: Any, seconds: float, swallow: int) -> None:
    """Swallows that many interruptions of any kind, and returns normally."""
    for _ in range(swallow + 1):
        try:
            time.sleep(seconds)
            break
        except BaseException as interruption:  # noqa: BLE001 - that is its purpose
            log.info("%s met %s", self.request.id, type(interruption).__name__)


@app.task(bind=True)
def job(self: Any, seconds: float) -> None:
    """What Simmer's own task does: it hands its work back when the worker drains."""
    log.info("%s started", self.request.id)
    try:
        time.sleep(seconds)
    except pool.WorkerDraining:
        log.info("%s handed back", self.request.id)
        raise


@app.task(bind=True)
def abort_itself(self: Any, seconds: float) -> None:
    """Another thread of this process (a greenlet under gevent) aborts it, as the heartbeat does."""
    threading.Timer(0.5, pool.abort, [self.request.id]).start()
    try:
        time.sleep(seconds)
    except BaseException as interruption:
        log.info("%s met %s", self.request.id, type(interruption).__name__)
        raise


@control_command(args=[("task_id", str)])
def abort(state: Any, task_id: str) -> dict[str, bool]:
    return {"aborted": pool.abort(task_id)}


@inspect_command()
def slots(state: Any) -> dict[str, int]:
    """What is taken in the worker and would leak."""
    greenlets = state.consumer.pool._pool
    messages = state.consumer.task_consumer.channel.qos
    return {
        "free": greenlets._semaphore.counter,
        "running": len(greenlets),
        "active": len(worker_state.active_requests),
        "reserved": len(worker_state.reserved_requests),
        "known": len(worker_state.requests),
        "unacknowledged": len(messages._delivered) - len(messages._dirty),
    }
