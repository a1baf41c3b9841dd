"""The purge: of 100,000 ended jobs the expired half goes, in batches, and not a byte of the rest changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from threading import Barrier, Thread
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.db import lookup, sweep
from app.db.engine import Database
from app.db.purging import Purged
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


Batch = tuple[datetime | None, Purged]
"""Since when it deleted, and what came of it."""


@contextmanager
def batches() -> Iterator[list[Batch]]:
    """The batches of the block's purges."""
    done: list[Batch] = []

    def noted(*args: Any, since: datetime | None, **kwargs: Any) -> Purged:
        done.append((since, sweep.purge(*args, since=since, **kwargs)))
        return done[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.services.maintenance.db", SimpleNamespace(purge=noted))
        yield done


def checksum(database: Database, which: str) -> tuple[int, str]:
    query = f"SELECT count(*), coalesce(md5(string_agg(j::text, ';' ORDER BY id)), '') FROM jobs AS j WHERE {which}"
    with database.transaction() as connection:
        count, md5 = connection.execute(text(query)).one()
    return count, md5


def test_the_expired_half_goes_and_the_rest_is_untouched(full: Database) -> None:
    expired, kept, active = (checksum(full, which) for which in (EXPIRED, KEPT, ACTIVE))
    assert (expired[0] + kept[0], active[0]) == (JOBS, 1_000)
    assert abs(expired[0] - JOBS // 2) < 10
    with batches() as done:
        assert purge(full) == expired[0]
    assert [purged.deleted for _, purged in done] == [BATCH] * (expired[0] // BATCH) + [expired[0] % BATCH]
    assert checksum(full, EXPIRED)[0] == 0
    assert (checksum(full, KEPT), checksum(full, ACTIVE)) == (kept, active)
    assert purge(full) == 0


def test_a_batch_begins_where_the_last_one_ended(own_database: Database) -> None:
    """What is deleted stays in the index for a while: each batch would walk over all that went before."""
    with own_database.transaction() as connection:
        rows.fill(connection, [rows.add_owner(connection)], 1_000, statuses=sorted(TERMINAL), expired_every=1)
    with batches() as done:
        assert service(own_database, 300).purge() == 1_000
    assert [purged.deleted for _, purged in done] == [300, 300, 300, 100]
    assert done[0][0] is None
    assert all(since == before.last is not None for (_, before), (since, _) in pairwise(done))


def test_what_expired_in_one_and_the_same_moment_goes_in_several_batches(own_database: Database) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        for _ in range(7):
            rows.put(connection, owner, Status.FAILED, expires_at=rows.EARLIER)
    assert service(own_database, 2).purge() == 7


def test_a_purge_leaves_out_what_expired_before_it_was_to_begin(own_database: Database) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        jobs = [
            rows.put(connection, owner, Status.FAILED, expires_at=text(f"now() - interval '{minutes} minutes'"))
            for minutes in (3, 2, 1)
        ]
        _, second, third = (rows.row(connection, job_id).expires_at for job_id in jobs)
        assert sweep.purge(connection, limit=10, since=second) == (2, third)
        assert [bool(rows.image(connection, job_id)) for job_id in jobs] == [True, False, False]


def test_a_purge_does_not_wait_for_the_disk_and_what_follows_does(own_database: Database) -> None:
    with own_database.transaction() as connection:
        connection.execute(text("SET synchronous_commit = on"))
    with own_database.transaction() as connection:
        sweep.purge(connection, limit=10)
        assert connection.scalar(text("SHOW synchronous_commit")) == "off"
    with own_database.transaction() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "on"


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
