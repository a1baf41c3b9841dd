"""Streamed jobs that the sweep ends in their worker's stead: what the broker holds of them is kept."""

import pytest

from app.db.engine import Database
from app.domain.lifecycle import Status
from app.services.maintenance import MaintenanceService
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.doorbell import LocalDoorbell
from tests.integration.services.event_log import MemoryEventLog
from tests.integration.services.stage import kept
from tests.integration.services.worker import SETTINGS


def sweep(database: Database, event_log: MemoryEventLog) -> LocalDoorbell:
    doorbell = LocalDoorbell()
    MaintenanceService(database, RecordingDispatcher(), doorbell, event_log, SETTINGS).sweep()
    return doorbell


DUE = {"overdue": {"run_deadline_at": rows.EARLIER}, "lost": {"lease_expires_at": rows.EARLIER}}


@pytest.mark.parametrize(("due", "code"), [("overdue", "timeout"), ("lost", "worker_lost")])
def test_the_sweep_keeps_what_the_broker_holds(
    own_database: Database, event_log: MemoryEventLog, due: str, code: str
) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        columns = {"stream": True, "streamed": True, **DUE[due]}
        job_ids = [rows.put(connection, owner, Status.IN_PROGRESS, **columns) for _ in range(3)]
    event_log.append([(job_ids[0], 0, [b'{"delta":"a"}', b'{"delta":"b"}']), (job_ids[1], 0, [b'{"delta":"c"}'])])
    doorbell = sweep(own_database, event_log)
    with own_database.transaction() as connection:
        found = [rows.row(connection, job_id) for job_id in job_ids]
    assert {(row.status, row.error_code) for row in found} == {("failed", code)}
    assert [kept(row) for row in found] == ["ab", "c", ""]
    assert (sorted(doorbell.rung), event_log.closed) == (sorted(job_ids), set(job_ids))


@pytest.mark.parametrize("due", DUE)
def test_the_sweep_ends_a_streamed_job_without_a_broker_too(
    own_database: Database, event_log: MemoryEventLog, due: str
) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        job_id = rows.put(connection, owner, Status.IN_PROGRESS, stream=True, streamed=True, **DUE[due])
    event_log.up = False
    sweep(own_database, event_log)
    with own_database.transaction() as connection:
        row = rows.row(connection, job_id)
    assert (row.status, row.events) == ("failed", None)


def test_the_sweep_runs_a_lost_job_that_has_said_nothing_again(
    own_database: Database, event_log: MemoryEventLog
) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        job_id = rows.put(connection, owner, Status.IN_PROGRESS, stream=True, **DUE["lost"])
    sweep(own_database, event_log)
    with own_database.transaction() as connection:
        assert rows.row(connection, job_id).status == "queued"
    assert event_log.closed == set()
