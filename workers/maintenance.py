"""The tasks of beat: they call a service and hold nothing."""

import logging

from app.adapters.queue import PURGE, SWEEP
from app.domain.errors import UnavailableError
from workers.celery_app import app
from workers.process import container

log = logging.getLogger(__name__)


@app.task(name=SWEEP)
def sweep() -> None:
    """Move the jobs that nobody else moves any more."""
    try:
        container().maintenance.sweep()
    except UnavailableError:
        log.warning("database unavailable, the next sweep will do")


@app.task(name=PURGE)
def purge() -> None:
    """Delete results whose retention is over."""
    try:
        container().maintenance.purge()
    except UnavailableError:
        log.warning("database unavailable, the next purge will do")
