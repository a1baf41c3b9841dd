"""A database that refuses every connection for a while, as in a failover, when a job is to be settled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from app.db.engine import Database
from app.domain.errors import UnavailableError
from app.services.maintenance import MaintenanceService
from app.settings import Settings
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.worker import ANSWER, Script, Worker

FAILED_CONNECTIONS = 3


@contextmanager
def outage(postgres: str, database: Database, *, ends: bool) -> Iterator[Callable[[], None]]:
    """Yield a function that begins the outage; if it `ends`, then after some attempts to connect."""
    name = database.engine.url.database
    attempts: list[None] = []
    with psycopg.connect(postgres, autocommit=True) as admin:

        def allow(allowed: bool) -> None:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")

        def count(*_: Any) -> None:
            attempts.append(None)
            if ends and len(attempts) > FAILED_CONNECTIONS:
                allow(True)

        def begin() -> None:
            allow(False)
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            event.listen(database.engine, "do_connect", count)

        yield begin
        event.remove(database.engine, "do_connect", count)
        allow(True)
    assert len(attempts) > FAILED_CONNECTIONS


@pytest.fixture
def worker(own_database: Database, dispatcher: RecordingDispatcher) -> Worker:
    settings = Settings(lease=2, heartbeat_interval=0.5, retry_backoff=0.01)
    return Worker(own_database, Script([]), dispatcher, settings)


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
    assert MaintenanceService(worker.database, worker.dispatcher, worker.settings).sweep().rescued == 1
    worker.script.answers = [ANSWER]
    row = worker.perform(job_id)
    assert (row.status, row.attempt) == ("completed", 2)
