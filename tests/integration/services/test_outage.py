"""A database that refuses every connection for a while, as in a failover, when a job is to be settled."""

import pytest

from app.db.engine import Database
from app.domain.errors import UnavailableError
from app.services.maintenance import MaintenanceService, SweepReport
from app.settings import Settings
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.outage import outage
from tests.integration.services.worker import ANSWER, Script, Worker


@pytest.fixture
def worker(own_database: Database, dispatcher: RecordingDispatcher) -> Worker:
    settings = Settings(lease=2, heartbeat_interval=0.5, retry_backoff=0.01)
    return Worker(own_database, Script(), dispatcher, settings)


def test_a_result_is_kept_until_the_database_is_back(worker: Worker, postgres: str) -> None:
    with worker.database.transaction() as connection:
        job_id = rows.put(connection, rows.add_owner(connection))
    with outage(postgres, worker.database, ends=True) as begin:
        worker.script.answers = [begin, ANSWER]
        assert worker.perform(job_id).status == "completed"
    assert worker.holds_nothing


def test_a_job_is_given_up_when_its_lease_has_ended_and_is_run_again(worker: Worker, postgres: str) -> None:
    with worker.database.transaction() as connection:
        job_id = rows.put(connection, rows.add_owner(connection))
    lease = worker.claim(job_id)
    with outage(postgres, worker.database, ends=False) as begin:
        worker.script.answers = [begin, ANSWER]
        with pytest.raises(UnavailableError):
            worker.service.perform(lease)
    assert worker.leases.expired(lease)
    assert worker.row(job_id).status == "in_progress"
    with worker.database.transaction() as connection:
        rows.change(connection, job_id, lease_expires_at=rows.EARLIER)
    assert _sweep(worker).rescued == 1
    worker.script.answers = [ANSWER]
    row = worker.perform(job_id)
    assert (row.status, row.attempt) == ("completed", 2)


def _sweep(worker: Worker) -> SweepReport:
    service = MaintenanceService(worker.database, worker.dispatcher, worker.doorbell, worker.event_log, worker.settings)
    return service.sweep()
