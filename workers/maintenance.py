"""The tasks of beat: they call a service, unless one has just done the same."""

import logging

from app.adapters.queue import PURGE, SWEEP
from app.domain.errors import UnavailableError
from workers.celery_app import app, settings
from workers.pace import Pace
from workers.process import container

log = logging.getLogger(__name__)

_pace = Pace()


@app.task(name=SWEEP)
def sweep() -> None:
    """Move the jobs and the webhooks that nobody else moves any more."""
    if not _pace.due(SWEEP, settings.sweep_interval):
        return
    try:
        container().maintenance.sweep()
        container().webhook_maintenance.sweep()
    except UnavailableError:
        log.warning("database unavailable, the next sweep will do")


@app.task(name=PURGE)
def purge() -> None:
    """Delete results, and deliveries of webhooks, whose retention is over."""
    if not _pace.due(PURGE, settings.purge_interval):
        return
    try:
        container().maintenance.purge()
        container().webhook_maintenance.purge()
    except UnavailableError:
        log.warning("database unavailable, the next purge will do")
