"""An endpoint that is deleted at the very moment a job ends: the end stands, and nobody is told."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, text

from app.db import endings
from app.db.engine import Database
from app.db.recording import DELIVERIES, ENDPOINTS
from app.domain.jobs import Completed, Ended
from app.domain.lifecycle import Status
from tests import rows
from tests.processes import wait_until

DEADLINE = 30.0
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def meanwhile() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_the_end_stands_and_nobody_is_told(database: Database, owner: UUID, meanwhile: ThreadPoolExecutor) -> None:
    with database.transaction() as connection:
        job_id = rows.put(connection, owner, Status.IN_PROGRESS)
        endpoint_id = rows.add_endpoint(connection, owner, "https://example.com/")

    def settle() -> Ended:
        with database.autocommit() as connection:
            return endings.settle(connection, rows.claim_of(job_id), Completed([], None), retention=60)

    with database.transaction() as connection:
        connection.execute(delete(ENDPOINTS).where(ENDPOINTS.c.id == endpoint_id))
        settled = meanwhile.submit(settle)
        wait_until(lambda: _waiting(database) == 1 or settled.done(), DEADLINE, "the settle waits, or is done")
    ended = settled.result(DEADLINE)
    assert (ended.job_ids, ended.endpoint_ids) == ([job_id], [])
    with database.transaction() as connection:
        assert rows.row(connection, job_id).status == Status.COMPLETED
        assert connection.execute(select(func.count()).where(DELIVERIES.c.event_id == job_id)).scalar_one() == 0


def _waiting(database: Database) -> int:
    with database.autocommit() as connection:
        found: int = connection.execute(text(WAITING)).scalar_one()
        return found
