"""What a request may choose: its mode, its queue, its tools, whether it is kept; and its place in the queue."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row

from app.db import endings, lookup
from app.db import jobs as db
from app.db.engine import Database
from app.domain.errors import IllegalMoveError, InvalidRequestError, NotFoundError
from app.domain.jobs import TIMED_OUT, Completed, Job, JobFilter
from app.domain.lifecycle import ACTIVE, TERMINAL, Status
from app.domain.requests import JobRequest
from app.services.jobs import JobService
from app.services.maintenance import MaintenanceService
from app.settings import Settings
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.doorbell import LocalDoorbell
from tests.integration.services.event_log import MemoryEventLog
from tests.integration.services.owners import REQUEST, SETTINGS, caller, job_service

SEARCH = {"type": "web_search"}
FUNCTION = {"type": "function", "name": "look", "parameters": {}}
SHORT = SETTINGS.model_copy(update={"retention": 60.0})


@pytest.fixture
def service(database: Database, dispatcher: RecordingDispatcher, doorbell: LocalDoorbell) -> JobService:
    return job_service(database, dispatcher, doorbell)


def row(database: Database, job_id: UUID) -> Row[Any]:
    with database.transaction() as connection:
        return rows.row(connection, job_id)


def put(database: Database, owner: UUID, status: Status = Status.QUEUED, **columns: Any) -> UUID:
    with database.transaction() as connection:
        return rows.put(connection, owner, status, **columns)


@pytest.mark.parametrize(
    ("chosen", "queue"),
    [
        ({}, "default"),
        ({"service_tier": "auto"}, "default"),
        ({"service_tier": "default"}, "default"),
        ({"service_tier": "flex"}, "flex"),
        ({"service_tier": "priority"}, "priority"),
        ({"background": False}, "sync"),
        ({"background": False, "service_tier": "flex"}, "sync"),
        ({"stream": True}, "default"),
        ({"stream": True, "background": False}, "sync"),
    ],
)
def test_a_request_has_its_queue(
    service: JobService, dispatcher: RecordingDispatcher, owner: UUID, chosen: dict[str, Any], queue: str
) -> None:
    request = replace(REQUEST, **chosen)
    job = service.submit(caller(owner), request).job
    assert [(message.job_id, message.queue) for message in dispatcher.dispatched] == [(job.id, queue)]
    assert (row(service.database, job.id).queue, service.get_request(owner, job.id)[1]) == (queue, request)
    assert (job.background, job.stream) == (request.background, request.stream)


@pytest.mark.parametrize(("background", "timeout"), [(True, 600), (False, 60)])
def test_a_client_on_the_line_is_not_served_after_it_has_gone(
    service: JobService, owner: UUID, background: bool, timeout: float
) -> None:
    job = service.submit(caller(owner), replace(REQUEST, background=background)).job
    assert row(service.database, job.id).queue_expires_at - job.created_at == timedelta(seconds=timeout)


def test_no_job_waits_longer_than_any_may(database: Database, owner: UUID) -> None:
    settings = SETTINGS.model_copy(update={"queue_timeout": 5.0})
    job = job_service(database, settings=settings).submit(caller(owner), replace(REQUEST, background=False)).job
    assert row(database, job.id).queue_expires_at - job.created_at == timedelta(seconds=5)


def test_hosted_tools_are_the_models_own(service: JobService, dispatcher: RecordingDispatcher, owner: UUID) -> None:
    service.submit(caller(owner), JobRequest("searching", (), tools=(FUNCTION, SEARCH)))
    service.submit(caller(owner), replace(REQUEST, tools=(FUNCTION,)))
    for model, tool in (("gpt-4.1", SEARCH), ("searching", {"type": "file_search"})):
        with pytest.raises(InvalidRequestError) as refused:
            service.submit(caller(owner), JobRequest(model, (), tools=(FUNCTION, tool)))
        assert (refused.value.error_code, refused.value.param) == ("unsupported_parameter", "tools[1].type")
    assert len(dispatcher.dispatched) == 2


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_a_synchronous_job_is_not_cancelled_but_abandoned(
    service: JobService, dispatcher: RecordingDispatcher, doorbell: LocalDoorbell, owner: UUID, status: Status
) -> None:
    job_id = put(service.database, owner, status, background=False)
    with pytest.raises(IllegalMoveError, match="synchronous"):
        service.cancel(owner, job_id)
    assert (service.get(owner, job_id).status, doorbell.rung) == (status, [])
    abandoned = service.abandon(owner, job_id)
    assert abandoned
    assert abandoned == service.get(owner, job_id)
    assert (abandoned.status, doorbell.rung) == (Status.CANCELLED, [job_id])
    assert dispatcher.aborted == ([(job_id, "jobs@test")] if status is Status.IN_PROGRESS else [])


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_what_has_ended_is_not_abandoned(
    service: JobService, doorbell: LocalDoorbell, owner: UUID, status: Status
) -> None:
    job_id = put(service.database, owner, status, background=False)
    assert service.abandon(owner, job_id) is None
    assert (service.get(owner, job_id).status, doorbell.rung) == (status, [])


@pytest.mark.parametrize("status", sorted(Status))
def test_a_stranger_abandons_nothing(service: JobService, owner: UUID, status: Status) -> None:
    with service.database.transaction() as connection:
        stranger = rows.add_owner(connection)
    job_id = put(service.database, owner, status)
    assert service.abandon(stranger, job_id) is None
    assert service.get(owner, job_id).status is status


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("status", sorted(Status))
def test_a_delete_of_any_job_leaves_nothing(
    service: JobService, doorbell: LocalDoorbell, owner: UUID, status: Status, background: bool
) -> None:
    job_id = put(service.database, owner, status, background=background)
    assert service.delete(owner, job_id, active_too=True) is None
    # A worker or a client of an active job is told.
    assert doorbell.rung == ([job_id] if status in ACTIVE else [])
    with pytest.raises(NotFoundError):
        service.get(owner, job_id)


def _complete(connection: Any, job_id: UUID, retention: float) -> None:
    assert endings.settle(connection, rows.claim_of(job_id), Completed([], None), retention=retention)


def _fail(connection: Any, job_id: UUID, retention: float) -> None:
    assert endings.settle(connection, rows.claim_of(job_id), TIMED_OUT, retention=retention)


def _cancel(connection: Any, job_id: UUID, retention: float) -> None:
    assert endings.cancel(connection, db.jobs.id == job_id, retention=retention)


@pytest.mark.parametrize("end", [_complete, _fail, _cancel])
@pytest.mark.parametrize(
    ("store", "retention", "kept"), [(True, 3600, 3600), (False, 3600, 600), (False, 60, 60), (True, 60, 60)]
)
def test_what_is_not_stored_is_kept_for_minutes(
    database: Database, owner: UUID, end: Any, store: bool, retention: float, kept: float
) -> None:
    with database.transaction() as connection:
        job_id = rows.put(connection, owner, Status.IN_PROGRESS, store=store)
        end(connection, job_id, retention)
    ended = row(database, job_id)
    assert (ended.expires_at - ended.ended_at).total_seconds() == kept


@pytest.mark.parametrize(("settings", "kept"), [(SETTINGS, 600), (SHORT, 60)])
@pytest.mark.parametrize(
    ("status", "due"),
    [
        (Status.QUEUED, {"queue_expires_at": rows.EARLIER}),
        (Status.IN_PROGRESS, {"run_deadline_at": rows.EARLIER}),
        (Status.IN_PROGRESS, {"lease_expires_at": rows.EARLIER, "attempt": 4}),
    ],
)
def test_what_is_not_stored_is_kept_for_minutes_when_the_sweep_ends_it(
    own_database: Database, settings: Settings, kept: float, status: Status, due: dict[str, Any]
) -> None:
    with own_database.transaction() as connection:
        job_id = rows.put(connection, rows.add_owner(connection), status, store=False, **due)
    parts = RecordingDispatcher(), LocalDoorbell(), MemoryEventLog()
    MaintenanceService(own_database, *parts, settings).sweep()
    ended = row(own_database, job_id)
    assert (ended.status, (ended.expires_at - ended.ended_at).total_seconds()) == ("failed", kept)


def queued(service: JobService, owner: UUID, count: int, queue: str = "default") -> list[Job]:
    with service.database.transaction() as connection:
        job_ids = [rows.put(connection, owner, queue=queue) for _ in range(count)]
    # Ids of one millisecond sort by chance.
    return [service.get(owner, job_id) for job_id in sorted(job_ids)]


def test_the_place_in_the_queue_counts_from_one_and_by_queue(own_database: Database) -> None:
    service = job_service(own_database)
    with own_database.transaction() as connection:
        first, second = rows.add_owner(connection), rows.add_owner(connection)
    jobs = queued(service, first, 3)
    others = queued(service, first, 2, "flex")
    later = queued(service, second, 1)
    assert [job.position for job in jobs] == [1, 2, 3]
    assert [job.position for job in others] == [1, 2]
    assert later[0].position == 4, "everybody's jobs wait in one queue"
    service.cancel(first, jobs[0].id)
    assert [service.get(first, job.id).position for job in jobs[1:]] == [1, 2]


def test_the_place_in_the_queue_is_counted_up_to_a_limit(own_database: Database) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
    jobs = queued(job_service(own_database), owner, lookup.MAX_POSITION + 1)
    assert [job.position for job in jobs[-3:]] == [lookup.MAX_POSITION - 1, lookup.MAX_POSITION, lookup.MAX_POSITION]


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.QUEUED}))
def test_a_job_that_has_left_the_queue_has_no_place(service: JobService, owner: UUID, status: Status) -> None:
    job_id = put(service.database, owner, status)
    assert service.get(owner, job_id).position is None


def test_a_listed_job_is_the_same_as_a_single_one(service: JobService, owner: UUID) -> None:
    job = service.submit(caller(owner), replace(REQUEST, instructions="be brief", stream=True)).job
    [listed], _ = service.page(owner, JobFilter())
    assert (listed, listed.request) == (replace(job, position=None), {"instructions": "be brief"})
