"""What one worker process holds: its container, and the heartbeat of its leases."""

import logging
import os
import threading
from functools import cache

from app.container import Container
from workers.celery_app import app, settings

log = logging.getLogger(__name__)


def container() -> Container:
    """The parts of this very process. Never those of the parent: connections must not cross a fork."""
    return _container_of(os.getpid())


@cache
def _container_of(pid: int) -> Container:  # the pid is the cache's key
    made = Container(settings, app)
    # Under gevent this is a greenlet, under prefork a thread of the child.
    threading.Thread(target=_beat, args=(made,), name="heartbeat", daemon=True).start()
    return made


def _beat(made: Container) -> None:
    """Extend the leases for as long as the process lives, whatever goes wrong in one round."""
    pause = threading.Event()
    while not pause.wait(settings.heartbeat_interval):
        try:
            made.leases.beat()
        except Exception as error:  # noqa: BLE001 - without a heartbeat every job of this process would be lost
            log.error("heartbeat failed: %s", type(error).__name__)
