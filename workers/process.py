"""What one worker process holds: its container, and the heartbeat of its leases."""

import logging
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from celery import signals

from app.adapters import tracing
from app.container import Container
from app.domain.tracing import flush
from workers import pool
from workers.celery_app import app, settings

log = logging.getLogger(__name__)

LAST_SPANS = 3.0
"""Seconds that a child of a prefork worker gives a collector of traces at its end."""


def container() -> Container:
    """The parts of this very process. Never those of the parent: connections must not cross a fork."""
    return _container_of(os.getpid())


@cache
def _container_of(pid: int) -> Container:  # the pid is the cache's key
    tracing.start(settings, "worker")
    made = Container(settings, app)
    pool.take_while(lambda: made.leases.database_answers)
    # Under gevent these are greenlets, under prefork threads of the child.
    for name, act in ("heartbeat", made.leases.beat), ("lease watch", made.leases.give_up):
        threading.Thread(target=_repeat, args=(name, act), name=name, daemon=True).start()
    return made


@signals.worker_process_shutdown.connect(weak=False)
def _flush(**_: Any) -> None:
    """A child ends with os._exit(), which stops the thread that spans leave through; all others wait for it."""
    flush(LAST_SPANS)


def _repeat(name: str, act: Callable[[], None]) -> None:
    """Look after the leases for as long as the process lives, whatever goes wrong in one round."""
    pause = threading.Event()
    while not pause.wait(settings.heartbeat_interval):
        try:
            act()
        except Exception as error:  # noqa: BLE001 - without a heartbeat every job of this process would be lost
            log.error("%s failed: %s", name, type(error).__name__)
