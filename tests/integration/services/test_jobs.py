"""What the owner of a job can do, in each state of it; and that nobody else can."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from app.db.engine import Database
from app.domain.errors import (
    IllegalMoveError,
    ModelNotFoundError,
    NotFoundError,
    UnavailableError,
)
from app.domain.ids import new_id
from app.domain.jobs import Dispatch, Job, JobFilter, Limits
from app.domain.lifecycle import ACTIVE, TERMINAL, Status
from app.domain.requests import JobRequest
from app.services.jobs import JobService
from app.settings import Settings
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.owners import REQUEST, caller, job_service
from tests.processes import free_port


@pytest.fixture
def service(database: Database, dispatcher: RecordingDispatcher) -> JobService:
    return job_service(database, dispatcher)


@pytest.fixture
def stranger(database: Database) -> UUID:
    with database.transaction() as connection:
        return rows.add_owner(connection)


def put(service: JobService, owner: UUID, status: Status = Status.QUEUED, **columns: object) -> UUID:
    with service.database.transaction() as connection:
        return rows.put(connection, owner, status, **columns)


def image(service: JobService, job_id: UUID) -> str | None:
    with service.database.transaction() as connection:
        return rows.image(connection, job_id)


def test_a_submitted_job_is_recorded_and_then_published(
    service: JobService, dispatcher: RecordingDispatcher, owner: UUID
) -> None:
    job = service.submit(caller(owner), REQUEST).job
    assert (job.status, job.attempt, job.metadata) == (Status.QUEUED, 0, {"team": "a"})
    assert dispatcher.dispatched == [Dispatch(job.id, "default", Limits(20, 30, 2))]
    with service.database.transaction() as connection:
        row = rows.row(connection, job.id)
    assert service.get_request(owner, job.id) == (replace(job, position=None), REQUEST)
    assert row.queue_expires_at - row.created_at == timedelta(seconds=600)
    assert row.redispatch_at - row.created_at == timedelta(seconds=10)
    assert service.get(owner, job.id) == job


def test_a_job_is_committed_before_it_is_published(service: JobService, owner: UUID) -> None:
    seen: list[Job] = []

    class Looking(RecordingDispatcher):
        def dispatch(self, message: Dispatch) -> bool:
            seen.append(service.get(owner, message.job_id))
            return True

    job = job_service(service.database, Looking()).submit(caller(owner), REQUEST).job
    assert seen == [job]


def test_a_job_is_accepted_while_the_broker_is_down(
    service: JobService, dispatcher: RecordingDispatcher, owner: UUID
) -> None:
    dispatcher.up = False
    job = service.submit(caller(owner), REQUEST).job
    assert service.get(owner, job.id).status is Status.QUEUED


def test_an_unknown_model_is_refused_and_nothing_recorded(
    service: JobService, dispatcher: RecordingDispatcher, owner: UUID
) -> None:
    with pytest.raises(ModelNotFoundError):
        service.submit(caller(owner), JobRequest("claude", ()))
    assert service.page(owner, JobFilter()) == ([], False)
    assert dispatcher.dispatched == []


def test_nothing_is_published_while_the_database_is_down(dispatcher: RecordingDispatcher, owner: UUID) -> None:
    down = Database(Settings(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none"))
    with pytest.raises(UnavailableError):
        job_service(down, dispatcher).submit(caller(owner), REQUEST)
    assert dispatcher.dispatched == []


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("verb", [JobService.get, JobService.cancel, JobService.delete])
def test_another_keys_job_looks_like_one_that_never_was(
    service: JobService,
    dispatcher: RecordingDispatcher,
    owner: UUID,
    stranger: UUID,
    verb: Callable[[JobService, UUID, UUID | None], object],
    status: Status,
) -> None:
    job_id = put(service, owner, status)
    before = image(service, job_id)
    told = []
    for wanted in (job_id, new_id(), None):
        with pytest.raises(NotFoundError) as refused:
            verb(service, stranger, wanted)
        told.append((refused.value.message, refused.value.error_code, refused.value.param))
    assert len(set(told)) == 1
    assert image(service, job_id) == before
    assert dispatcher.aborted == []


@pytest.mark.parametrize("status", sorted(TERMINAL))
@pytest.mark.parametrize("verb", [JobService.get, JobService.cancel, JobService.delete])
def test_an_expired_job_is_gone_before_the_purge(
    service: JobService, owner: UUID, verb: Callable[[JobService, UUID, UUID | None], object], status: Status
) -> None:
    job_id = put(service, owner, status, expires_at=rows.EARLIER)
    with pytest.raises(NotFoundError):
        verb(service, owner, job_id)
    assert service.page(owner, JobFilter()) == ([], False)


@pytest.mark.parametrize("verb", [JobService.cancel, JobService.delete])
@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_an_active_job_is_cancelled_and_its_worker_told(
    service: JobService,
    dispatcher: RecordingDispatcher,
    owner: UUID,
    verb: Callable[[JobService, UUID, UUID | None], Job | None],
    status: Status,
) -> None:
    job_id = put(service, owner, status)
    cancelled = verb(service, owner, job_id)
    assert cancelled
    assert cancelled == service.get(owner, job_id)
    assert cancelled.status is Status.CANCELLED
    assert cancelled.ended_at
    assert cancelled.expires_at == cancelled.ended_at + timedelta(seconds=3600)
    assert dispatcher.aborted == ([(job_id, "jobs@test")] if status is Status.IN_PROGRESS else [])


def test_a_cancelled_job_may_be_cancelled_again(
    service: JobService, dispatcher: RecordingDispatcher, owner: UUID
) -> None:
    job_id = put(service, owner, Status.IN_PROGRESS)
    first = service.cancel(owner, job_id)
    assert service.cancel(owner, job_id) == first
    assert len(dispatcher.aborted) == 1


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_what_ended_otherwise_cannot_be_cancelled(service: JobService, owner: UUID, status: Status) -> None:
    job_id = put(service, owner, status)
    before = image(service, job_id)
    with pytest.raises(IllegalMoveError, match=status.value):
        service.cancel(owner, job_id)
    assert image(service, job_id) == before


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_an_ended_job_is_deleted(service: JobService, owner: UUID, status: Status) -> None:
    job_id, other = put(service, owner, status), put(service, owner, status)
    assert service.delete(owner, job_id) is None
    assert image(service, job_id) is None
    with pytest.raises(NotFoundError):
        service.delete(owner, job_id)
    assert service.get(owner, other).id == other
