"""A client's own key for a request: however often it is sent, and by how many at once, there is one job."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from uuid import UUID

import pytest

from app.db.engine import Database
from app.domain.errors import IdempotencyKeyReusedError, ModelNotFoundError, UnavailableError
from app.domain.jobs import Idempotency, JobFilter
from app.domain.lifecycle import Status
from app.services.jobs import JobService
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.owners import REQUEST, caller, job_service

AT_ONCE = 50
DEADLINE = 60.0
SAME = Idempotency("order-7", b"what was asked")
OTHER_BODY = Idempotency("order-7", b"something else")


@pytest.fixture
def service(database: Database, dispatcher: RecordingDispatcher) -> JobService:
    return job_service(database, dispatcher)


@pytest.fixture
def stranger(database: Database) -> UUID:
    with database.transaction() as connection:
        return rows.add_owner(connection)


def test_a_repeated_request_gets_the_first_ones_job(
    service: JobService, dispatcher: RecordingDispatcher, owner: UUID
) -> None:
    first = service.submit(caller(owner), REQUEST, SAME)
    again = service.submit(caller(owner), REQUEST, SAME)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.job == first.job
    assert dispatcher.job_ids == [first.job.id]


def test_it_gets_the_job_as_it_is_now(service: JobService, owner: UUID) -> None:
    first = service.submit(caller(owner), REQUEST, SAME).job
    service.cancel(owner, first.id)
    again = service.submit(caller(owner), REQUEST, SAME)
    assert (again.job.id, again.job.status, again.replayed) == (first.id, Status.CANCELLED, True)


def test_the_key_is_refused_for_another_request(
    service: JobService, dispatcher: RecordingDispatcher, owner: UUID
) -> None:
    service.submit(caller(owner), REQUEST, SAME)
    with pytest.raises(IdempotencyKeyReusedError):
        service.submit(caller(owner), REQUEST, OTHER_BODY)
    assert len(dispatcher.dispatched) == 1


def test_without_a_key_each_request_is_a_job(service: JobService, owner: UUID) -> None:
    first, second = (service.submit(caller(owner), REQUEST) for _ in range(2))
    assert first.job.id != second.job.id
    assert not second.replayed


def test_keys_of_others_are_others(service: JobService, owner: UUID, stranger: UUID) -> None:
    mine = service.submit(caller(owner), REQUEST, SAME)
    theirs = service.submit(caller(stranger), REQUEST, OTHER_BODY)
    assert mine.job.id != theirs.job.id
    assert not theirs.replayed


def test_another_key_is_another_job(service: JobService, owner: UUID) -> None:
    first = service.submit(caller(owner), REQUEST, SAME)
    second = service.submit(caller(owner), REQUEST, Idempotency("order-8", SAME.digest))
    assert first.job.id != second.job.id


@pytest.mark.parametrize("idempotency", [SAME, OTHER_BODY])
def test_a_deleted_jobs_key_is_free(service: JobService, owner: UUID, idempotency: Idempotency) -> None:
    first = service.submit(caller(owner), REQUEST, SAME).job
    service.delete(owner, first.id, active_too=True)
    again = service.submit(caller(owner), REQUEST, idempotency)
    assert again.job.id != first.id
    assert not again.replayed


@pytest.mark.parametrize("idempotency", [SAME, OTHER_BODY])
def test_an_expired_jobs_key_is_free_before_the_purge(
    service: JobService, database: Database, owner: UUID, idempotency: Idempotency
) -> None:
    first = service.submit(caller(owner), REQUEST, SAME).job
    service.cancel(owner, first.id)
    with database.transaction() as connection:
        rows.change(connection, first.id, expires_at=rows.EARLIER)
    again = service.submit(caller(owner), REQUEST, idempotency)
    assert again.job.id != first.id
    assert not again.replayed
    with database.transaction() as connection:
        assert rows.image(connection, first.id) is None


def test_fifty_at_once_make_one_job(service: JobService, dispatcher: RecordingDispatcher, owner: UUID) -> None:
    start = Barrier(AT_ONCE)

    def submit() -> tuple[UUID, bool]:
        start.wait(DEADLINE)
        while True:
            try:
                submitted = service.submit(caller(owner), REQUEST, SAME)
            except UnavailableError:
                # There are ten connections; a client would try again, too.
                continue
            return submitted.job.id, submitted.replayed

    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = [done.result(DEADLINE) for done in [pool.submit(submit) for _ in range(AT_ONCE)]]
    [job], _ = service.page(owner, JobFilter())
    assert {job_id for job_id, _ in told} == {job.id}
    assert [replayed for _, replayed in told].count(False) == 1
    assert dispatcher.job_ids == [job.id]


def test_fifty_at_once_of_different_bodies_make_one_job(service: JobService, owner: UUID) -> None:
    start = Barrier(AT_ONCE)

    def submit(number: int) -> str:
        start.wait(DEADLINE)
        while True:
            try:
                submitted = service.submit(caller(owner), REQUEST, Idempotency("order-7", b"%d" % number))
            except UnavailableError:
                continue
            except IdempotencyKeyReusedError:
                return "refused"
            return "replayed" if submitted.replayed else "made"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = [done.result(DEADLINE) for done in [pool.submit(submit, number) for number in range(AT_ONCE)]]
    assert sorted(told) == ["made", *["refused"] * (AT_ONCE - 1)]


def test_a_key_whose_job_always_disappears_is_given_up(
    service: JobService, database: Database, owner: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time it is taken when the job is to be inserted, and free when that job is to be read."""
    service.submit(caller(owner), REQUEST, SAME)
    monkeypatch.setattr("app.db.submission.find_repeated", lambda *_: None)
    with pytest.raises(UnavailableError):
        service.submit(caller(owner), REQUEST, SAME)


def test_a_refused_request_does_not_take_the_key(service: JobService, owner: UUID) -> None:
    with pytest.raises(ModelNotFoundError):
        service.submit(caller(owner), replace(REQUEST, model="claude"), SAME)
    assert not service.submit(caller(owner), REQUEST, SAME).replayed
