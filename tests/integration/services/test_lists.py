"""Lists of jobs: pages in both orders, cursors, filters, and nobody else's jobs."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import pytest

from app.db.engine import Database
from app.domain.errors import InvalidRequestError
from app.domain.ids import new_id
from app.domain.jobs import JobFilter
from app.domain.lifecycle import Status
from app.services.jobs import JobService
from tests import rows
from tests.integration.services.owners import job_service

Order = Literal["asc", "desc"]


@pytest.fixture
def service(database: Database) -> JobService:
    return job_service(database)


@pytest.fixture
def job_ids(database: Database, owner: UUID) -> list[UUID]:
    """Ten jobs, oldest first; a stranger's lie between them."""
    with database.transaction() as connection:
        stranger = rows.add_owner(connection)
        made = []
        for number in range(10):
            # Ids of one millisecond sort by chance; a list follows the ids.
            made.append(rows.put(connection, owner, metadata_={"n": str(number), "parity": str(number % 2)}))
            rows.put(connection, stranger)
    return sorted(made)


def ids(service: JobService, owner: UUID, **wanted: Any) -> list[UUID]:
    return [job.id for job in service.page(owner, JobFilter(**wanted))[0]]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 5, 10, 20])
def test_pages_follow_each_other_without_gap_or_repetition(
    service: JobService, owner: UUID, job_ids: list[UUID], order: Order, limit: int
) -> None:
    found: list[UUID] = []
    more = True
    while more and len(found) <= len(job_ids):
        jobs, more = service.page(owner, JobFilter(limit=limit, order=order, after=found[-1] if found else None))
        assert len(jobs) == limit or not more
        found += [job.id for job in jobs]
    assert found == (job_ids if order == "asc" else job_ids[::-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_list_ends_before_its_before(service: JobService, owner: UUID, job_ids: list[UUID], order: Order) -> None:
    listed = job_ids if order == "asc" else job_ids[::-1]
    assert ids(service, owner, order=order, before=listed[4]) == listed[:4]
    assert ids(service, owner, order=order, after=listed[1], before=listed[4]) == listed[2:4]
    assert ids(service, owner, order=order, before=listed[0]) == []
    assert ids(service, owner, order=order, after=listed[-1]) == []


def test_a_page_that_is_just_full_has_no_next(service: JobService, owner: UUID, job_ids: list[UUID]) -> None:
    assert service.page(owner, JobFilter(limit=10))[1] is False
    assert service.page(owner, JobFilter(limit=9))[1] is True


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 5])
def test_pages_can_be_turned_back_one_by_one(
    service: JobService, owner: UUID, job_ids: list[UUID], order: Order, limit: int
) -> None:
    listed = job_ids if order == "asc" else job_ids[::-1]
    found, more = listed[-1:], True
    while more and len(found) <= len(job_ids):
        jobs, more = service.page(owner, JobFilter(limit=limit, order=order, before=found[0]))
        found = [job.id for job in jobs] + found
    assert found == listed


@pytest.mark.parametrize("cursor", ["after", "before"])
def test_a_cursor_must_be_an_own_job(service: JobService, owner: UUID, database: Database, cursor: str) -> None:
    with database.transaction() as connection:
        foreign = rows.put(connection, rows.add_owner(connection))
    for job_id in (foreign, new_id()):
        with pytest.raises(InvalidRequestError) as refused:
            ids(service, owner, **{cursor: job_id})
        assert refused.value.param == cursor


def test_filters_narrow_a_list(service: JobService, owner: UUID, job_ids: list[UUID], database: Database) -> None:
    with database.transaction() as connection:
        cut_off = rows.put(connection, owner, Status.COMPLETED, incomplete_reason="max_output_tokens")
        ended = rows.put(connection, owner, Status.COMPLETED, model="other")
    assert ids(service, owner, status=Status.COMPLETED) == [ended, cut_off]
    assert ids(service, owner, cut_off=True) == [cut_off]
    assert ids(service, owner, model="other") == [ended]
    assert len(ids(service, owner, status=Status.QUEUED, model="gpt-4.1")) == 10
    assert ids(service, owner, status=Status.COMPLETED, model="gpt-4.1") == [cut_off]
    by_number = {job.metadata.get("n"): job.id for job in service.page(owner, JobFilter())[0]}
    assert ids(service, owner, metadata={"n": "3"}) == [by_number["3"]]
    assert ids(service, owner, metadata={"n": "3", "parity": "1"}) == [by_number["3"]]
    assert ids(service, owner, metadata={"n": "3", "parity": "0"}) == []
    assert len(ids(service, owner, metadata={"parity": "0"})) == 5


def test_a_list_is_bounded_by_times_of_creation(
    service: JobService, owner: UUID, job_ids: list[UUID], database: Database
) -> None:
    with database.transaction() as connection:
        for hour, job_id in enumerate(job_ids):
            rows.change(connection, job_id, created_at=datetime.fromisoformat(f"2026-01-01T{hour:02}:00:00Z"))
    three, six = (datetime.fromisoformat(f"2026-01-01T0{hour}:00:00Z") for hour in (3, 6))
    assert ids(service, owner, created_after=three, created_before=six, order="asc") == job_ids[3:7]
    assert ids(service, owner, created_after=six, order="asc") == job_ids[6:]
    assert ids(service, owner, created_before=three, order="asc") == job_ids[:4]


def test_a_filter_and_a_cursor_work_together(service: JobService, owner: UUID, job_ids: list[UUID]) -> None:
    even = ids(service, owner, metadata={"parity": "0"}, order="asc")
    assert ids(service, owner, metadata={"parity": "0"}, order="asc", after=even[1], limit=2) == even[2:4]
    odd = next(job_id for job_id in job_ids if job_id not in even)
    assert ids(service, owner, metadata={"parity": "0"}, order="asc", after=odd) == [e for e in even if e > odd]
