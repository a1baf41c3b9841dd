"""The tasks of beat: they call a service, unless one has just done the same."""

import logging
import time

from app.adapters.queue import PURGE, SWEEP
from app.domain.errors import UnavailableError
from workers.celery_app import app, settings
from workers.process import container

log = logging.getLogger(__name__)

_begun_at: dict[str, float] = {}
"""When this process last began a task, by name; on the monotonic clock."""


@app.task(name=SWEEP)
def sweep() -> None:
    """Move the jobs that nobody else moves any more."""
    if not _due(SWEEP, settings.sweep_interval):
        return
    try:
        container().maintenance.sweep()
    except UnavailableError:
        log.warning("database unavailable, the next sweep will do")


@app.task(name=PURGE)
def purge() -> None:
    """Delete results whose retention is over."""
    if not _due(PURGE, settings.purge_interval):
        return
    try:
        container().maintenance.purge()
    except UnavailableError:
        log.warning("database unavailable, the next purge will do")


def _due(task: str, interval: float) -> bool:
    """Whether to begin: of the messages that an outage has piled up, and of those of two beats, one is enough."""
    now = time.monotonic()
    if now - _begun_at.get(task, -interval) < interval / 2:
        return False
    _begun_at[task] = now
    return True
