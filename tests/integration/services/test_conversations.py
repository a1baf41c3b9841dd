"""`previous_response_id`: what was said before comes along, copied, and only what is one's own and complete."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from app.db.engine import Database
from app.domain.errors import InvalidRequestError
from app.domain.ids import public_id
from app.domain.jobs import JobFilter
from app.domain.lifecycle import Status
from app.domain.requests import JSON, JobRequest, message
from app.services import conversations
from app.services.jobs import JobService
from tests import rows
from tests.integration.services.owners import caller, job_service

ASKED, ANSWERED = message("user", "Who?"), message("assistant", "I.")
NEXT = message("user", "And when?")
UNKNOWN = "resp_0195a1b2c3d47e5f8a9b0c1d2e3f4a5b"


@pytest.fixture
def service(database: Database) -> JobService:
    return job_service(database)


def put(database: Database, owner: UUID, status: Status = Status.COMPLETED, **columns: Any) -> UUID:
    values = {"inputs": {"inputs": [ASKED]}, **({"output": [ANSWERED]} if status is Status.COMPLETED else {})}
    with database.transaction() as connection:
        return rows.put(connection, owner, status, **{**values, **columns})


def following(previous: str, *inputs: JSON) -> JobRequest:
    return JobRequest("gpt-4.1", inputs or (NEXT,), previous_response_id=previous)


def submitted(service: JobService, owner: UUID, request: JobRequest) -> JobRequest:
    job = service.submit(caller(owner), request).job
    return service.get_request(owner, job.id)[1]


def test_the_earlier_inputs_and_the_answer_come_first(service: JobService, database: Database, owner: UUID) -> None:
    earlier = public_id(put(database, owner))
    request = submitted(service, owner, following(earlier))
    assert request == replace(following(earlier), context=(ASKED, ANSWERED))
    assert request.conversation == (ASKED, ANSWERED, NEXT)


def test_a_chain_carries_everything_that_was_said(service: JobService, database: Database, owner: UUID) -> None:
    earlier = put(database, owner)
    said: tuple[JSON, ...] = (ASKED, ANSWERED)
    for number in range(3):
        question, answer = message("user", f"{number}?"), message("assistant", f"{number}.")
        job = service.submit(caller(owner), following(public_id(earlier), question)).job
        said = (*said, question)
        assert service.get_request(owner, job.id)[1].conversation == said
        with database.transaction() as connection:
            rows.change(connection, job.id, **_completed(answer))
        earlier, said = job.id, (*said, answer)


def _completed(answer: JSON) -> dict[str, Any]:
    ended = {"ended_at": rows.NOW, "expires_at": rows.LATER, "redispatch_at": None}
    return {"status": "completed", "attempt": 1, "output": [answer], **ended}


def test_the_instructions_of_before_do_not_come_along(service: JobService, database: Database, owner: UUID) -> None:
    earlier = put(database, owner, request={"instructions": "be brief", "temperature": 1})
    request = submitted(service, owner, following(public_id(earlier)))
    assert (request.instructions, request.temperature) == (None, None)


def test_the_copy_needs_the_earlier_response_no_more(service: JobService, database: Database, owner: UUID) -> None:
    earlier = put(database, owner)
    job = service.submit(caller(owner), following(public_id(earlier))).job
    service.delete(owner, earlier)
    assert service.get_request(owner, job.id)[1].context == (ASKED, ANSWERED)


def test_what_was_cut_off_can_be_continued(service: JobService, database: Database, owner: UUID) -> None:
    earlier = put(database, owner, incomplete_reason="max_output_tokens")
    assert submitted(service, owner, following(public_id(earlier))).context == (ASKED, ANSWERED)


def refused(service: JobService, owner: UUID, previous: str) -> str:
    before = service.page(owner, JobFilter())
    with pytest.raises(InvalidRequestError) as told:
        service.submit(caller(owner), following(previous))
    assert told.value.param == "previous_response_id"
    assert service.page(owner, JobFilter()) == before
    return told.value.error_code


@pytest.mark.parametrize("previous", ["", "resp_1", "../../etc", UNKNOWN, UNKNOWN.upper()])
def test_a_response_that_never_was_is_not_found(service: JobService, owner: UUID, previous: str) -> None:
    assert refused(service, owner, previous) == "previous_response_not_found"


def test_somebody_elses_and_an_expired_response_are_not_found(
    service: JobService, database: Database, owner: UUID
) -> None:
    with database.transaction() as connection:
        stranger = rows.add_owner(connection)
    for earlier in (put(database, stranger), put(database, owner, expires_at=rows.EARLIER)):
        assert refused(service, owner, public_id(earlier)) == "previous_response_not_found"


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.COMPLETED}))
def test_only_a_completed_response_can_be_continued(
    service: JobService, database: Database, owner: UUID, status: Status
) -> None:
    earlier = public_id(put(database, owner, status))
    assert refused(service, owner, earlier) == "previous_response_not_completed"


def test_a_conversation_has_an_end(
    service: JobService, database: Database, owner: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "MAX_ITEMS", 3)
    earlier = public_id(put(database, owner))
    assert len(submitted(service, owner, following(earlier)).conversation) == 3
    longer = public_id(put(database, owner, output=[ANSWERED, ANSWERED]))
    assert refused(service, owner, longer) == "array_too_long"
