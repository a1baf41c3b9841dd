"""The Celery app: `celery -A workers.celery_app worker | beat | flower | inspect …` work as with any other."""

import logging
import sys
from typing import Any

from celery import Celery, signals

from app.adapters.queue import PURGE, SWEEP, SYSTEM_QUEUE, celery_config
from app.container import Container
from app.domain.errors import ConfigurationError
from app.domain.jobs import JOB_QUEUES
from app.garbage import leave_out_what_is_loaded
from app.logs import Without, configure
from app.open_files import raise_limit
from app.settings import load_settings
from app.upstreams.registry import preload
from workers import flower_login, pool
from workers.events import EventBatches

log = logging.getLogger(__name__)

settings = load_settings()
settings.require("broker_url", "database_url")

app = Celery("simmer", include=["workers.jobs", "workers.maintenance", "workers.webhooks"])
app.conf.update(celery_config(settings))
app.conf.update(
    # A worker takes a message only when it has a slot for it: no job waits behind half an hour of another's,
    # while the next worker idles. Redis alone; docs/adr tells what it costs.
    worker_disable_prefetch=True,
    worker_prefetch_multiplier=1,
    # Flower lives on events.
    worker_send_task_events=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    beat_enable_remote_control=True,
    # No `expires`: the worker's clock would judge what beat's has set, and one that is ahead would drop every sweep.
    beat_schedule={
        "sweep": {
            "task": SWEEP,
            "schedule": settings.sweep_interval,
            "options": {"queue": SYSTEM_QUEUE},
        },
        "purge": {
            "task": PURGE,
            "schedule": settings.purge_interval,
            "options": {"queue": SYSTEM_QUEUE},
        },
    },
)
raise_limit()
flower_login.install()
pool.install(drain_timeout=settings.drain_timeout)
app.steps["consumer"].add(pool.SlotGate)
app.steps["consumer"].add(EventBatches)


@signals.celeryd_after_setup.connect(weak=False)
def _check_models(instance: Any, **_: Any) -> None:
    """Let a worker that is to run jobs not start with a models file that is missing or wrong."""
    if set(instance.app.amqp.queues.consume_from).isdisjoint(JOB_QUEUES):
        return
    preload()
    try:
        missing = Container(settings, app).catalog.missing_keys()
    except ConfigurationError as error:
        sys.exit(f"Error: {error.message}")
    if missing:
        log.warning("not set in this worker's environment: %s", ", ".join(missing))


# Of the worker itself, and of each child that prefork has.
@signals.worker_ready.connect(weak=False)
@signals.worker_process_init.connect(weak=False)
def _leave_out_what_is_loaded(**_: Any) -> None:
    leave_out_what_is_loaded()


@signals.setup_logging.connect(weak=False)
def _use_our_logs(**_: Any) -> None:
    configure(settings)
    # A job's steps have lines of ours, and so has a sweep that did something. Celery's two for each task say no more,
    # and take 2 % of a job's time.
    if settings.log_level != "DEBUG":
        for chatty in ("celery.worker.strategy", "celery.app.trace"):
            logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.getLogger("celery.beat").addFilter(Without(SWEEP, PURGE))
