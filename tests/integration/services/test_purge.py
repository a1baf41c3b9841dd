"""The purge: of 100,000 ended jobs the expired half goes, in batches, and not a byte of the rest changes."""

from collections.abc import Iterator
from threading import Barrier, Thread
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from app.db import lookup
from app.db.engine import Database
from app.domain.jobs import JobFilter
from app.domain.lifecycle import TERMINAL, Status
from app.services.maintenance import MaintenanceService
from app.settings import Settings
from tests import rows
from tests.databases import migrated
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.doorbell import LocalDoorbell
from tests.integration.services.event_log import MemoryEventLog

JOBS = 100_000
BATCH = 5_000
EXPIRED = "expires_at <= now()"
KEPT = "expires_at > now()"
ACTIVE = "status IN ('queued', 'in_progress')"


@pytest.fixture
def full(postgres: str) -> Iterator[Database]:
    with migrated(postgres, "to_be_purged") as made:
        with made.transaction() as connection:
            owners = [rows.add_owner(connection) for _ in range(3)]
            rows.fill(connection, owners, JOBS, statuses=sorted(TERMINAL), expired_every=2)
            rows.fill(connection, owners, 1_000, statuses=[Status.QUEUED, Status.IN_PROGRESS], expired_every=1)
        yield made


def purge(database: Database) -> int:
    return service(database, BATCH).purge()


def service(database: Database, batch: int) -> MaintenanceService:
    parts = RecordingDispatcher(), LocalDoorbell(), MemoryEventLog()
    return MaintenanceService(database, *parts, Settings(purge_batch=batch))


def checksum(database: Database, which: str) -> tuple[int, str]:
    query = f"SELECT count(*), coalesce(md5(string_agg(j::text, ';' ORDER BY id)), '') FROM jobs AS j WHERE {which}"
    with database.transaction() as connection:
        count, md5 = connection.execute(text(query)).one()
    return count, md5


def test_the_expired_half_goes_and_the_rest_is_untouched(full: Database) -> None:
    expired, kept, active = (checksum(full, which) for which in (EXPIRED, KEPT, ACTIVE))
    assert (expired[0] + kept[0], active[0]) == (JOBS, 1_000)
    assert abs(expired[0] - JOBS // 2) < 10
    deleted: list[int] = []

    def note(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "DELETE" in statement:
            deleted.append(cursor.rowcount)

    event.listen(full.engine, "after_cursor_execute", note)
    assert purge(full) == sum(deleted) == expired[0]
    assert max(deleted) == BATCH
    assert checksum(full, EXPIRED)[0] == 0
    assert (checksum(full, KEPT), checksum(full, ACTIVE)) == (kept, active)
    assert purge(full) == 0


def test_two_purges_at_once_share_the_work(own_database: Database) -> None:
    with own_database.transaction() as connection:
        rows.fill(connection, [rows.add_owner(connection)], 20_000, statuses=sorted(TERMINAL), expired_every=1)
    start, counts = Barrier(2), []

    def run() -> None:
        start.wait(20)
        counts.append(service(own_database, 500).purge())

    both = [Thread(target=run) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    assert sum(counts) == 20_000
    assert checksum(own_database, "true")[0] == 0


def test_an_expired_job_is_invisible_before_it_is_purged(own_database: Database) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        kept = {rows.put(connection, owner, status) for status in Status}
        gone = [rows.put(connection, owner, status, expires_at=rows.EARLIER) for status in TERMINAL]
        _check_visible(connection, owner, kept, gone)
    assert purge(own_database) == len(gone)
    with own_database.transaction() as connection:
        _check_visible(connection, owner, kept, gone)


def _check_visible(connection: Any, owner: UUID, kept: set[UUID], gone: list[UUID]) -> None:
    assert {job.id for job in lookup.page(connection, owner, JobFilter())[0]} == kept
    assert all(lookup.get(connection, job_id, owner) for job_id in kept)
    assert [lookup.get(connection, job_id, owner) for job_id in gone] == [None] * len(gone)


def test_a_job_expires_when_its_time_has_come_and_not_before(own_database: Database) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        due = rows.put(connection, owner, Status.FAILED, expires_at=rows.NOW)
        later = rows.put(connection, owner, Status.FAILED, expires_at=text("now() + interval '1 minute'"))
    assert purge(own_database) == 1
    with own_database.transaction() as connection:
        assert rows.image(connection, due) is None
        assert rows.image(connection, later)
