"""The task that runs one job, and what an administrator's revoke means for it."""

import logging
from functools import partial
from typing import Any

from celery import signals
from celery.exceptions import SoftTimeLimitExceeded

from app.adapters.queue import RUN_JOB
from app.domain.errors import UnavailableError
from app.domain.ids import parse_public_id
from app.domain.jobs import SERVER_ERROR, TIMED_OUT
from app.domain.tracing import continued, span
from app.logs import bound, raised_at
from app.services.leases import Lease
from workers.celery_app import app
from workers.pool import ABORTED, WorkerDraining, abort
from workers.process import container

log = logging.getLogger(__name__)


@app.task(name=RUN_JOB, bind=True)
def run(self: Any, public_id: str) -> None:
    """Run one job. The broker may deliver its id any number of times: only one claim succeeds."""
    job_id = parse_public_id(public_id)
    if job_id is None:
        log.error("not a job's id, message dropped")
        return
    # First of all: it turns tracing on, and the process's first job is traced too.
    execution = container().execution
    with (
        bound(job_id=public_id),
        continued(vars(self.request)),
        span("run job", "consumer", {"simmer.job.id": public_id}),
    ):
        try:
            lease = execution.claim(job_id, worker=self.request.hostname, abort=partial(abort, public_id))
        except UnavailableError:
            log.warning("not claimed for now, the sweep will send this job again")
            return
        if lease:
            _run_held(lease)


def _run_held(lease: Lease) -> None:
    execution = container().execution
    try:
        execution.perform(lease)
    except SoftTimeLimitExceeded:
        execution.settle(lease, TIMED_OUT)
    except WorkerDraining:
        execution.hand_back(lease)
        raise
    except UnavailableError:
        log.error("database unavailable until the lease ran out, the job will run again")
    except Exception as error:  # noqa: BLE001 - whatever it was, the row must not stay in progress
        # The message is left out: it may quote the prompt.
        log.error("job failed unexpectedly: %s", type(error).__name__, extra={"fields": {"at": raised_at(error)}})
        execution.settle(lease, SERVER_ERROR)
    finally:
        execution.release(lease)


@signals.task_revoked.connect(weak=False)
def _cancel_revoked(request: Any, signum: Any = None, sender: Any = None, **_: Any) -> None:
    """An administrator revoked or terminated the task, in Flower or on the command line: the row says so too.

    Our own aborts come here as well, and must not: their job may be another worker's by now.
    """
    job_id = parse_public_id(request.id or "")
    if signum == ABORTED or job_id is None or sender is None or sender.name != RUN_JOB:
        return
    with bound(job_id=request.id):
        try:
            container().execution.cancel(job_id)
        except UnavailableError:
            log.error("database unavailable, a revoked job will run again; revoke it once more")
