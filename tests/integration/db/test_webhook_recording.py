"""However a job ends, its webhooks are written by the statement that ends it: to whom, of what type, all or nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select

from app.db import endings, sweep
from app.db.engine import Database
from app.db.jobs import jobs
from app.db.recording import DELIVERIES
from app.domain.ids import public_id
from app.domain.jobs import TIMED_OUT, Completed, Ended
from app.domain.lifecycle import Status
from app.domain.webhooks import EventType
from tests import deliveries, rows

RETENTION = 60.0


def no_events(_: UUID) -> None:
    return None


def completed(connection: Connection, job_id: UUID) -> Ended:
    return endings.settle(connection, rows.claim_of(job_id), Completed([], None), retention=RETENTION)


def incomplete(connection: Connection, job_id: UUID) -> Ended:
    outcome = Completed([], None, incomplete_reason="max_output_tokens")
    return endings.settle(connection, rows.claim_of(job_id), outcome, retention=RETENTION)


def failed(connection: Connection, job_id: UUID) -> Ended:
    return endings.settle(connection, rows.claim_of(job_id), TIMED_OUT, retention=RETENTION)


def cancelled(connection: Connection, job_id: UUID) -> Ended:
    found = endings.cancel(connection, jobs.id == job_id, retention=RETENTION)
    assert found is not None
    return found[1]


def timed_out(connection: Connection, job_id: UUID) -> Ended:
    rows.change(connection, job_id, run_deadline_at=rows.EARLIER)
    return sweep.stop_overdue(connection, limit=9, retention=RETENTION, events_of=no_events)


def worker_lost(connection: Connection, job_id: UUID) -> Ended:
    rows.change(connection, job_id, lease_expires_at=rows.EARLIER, attempt=rows.LIMITS.max_attempts)
    return sweep.rescue(connection, limit=9, retention=RETENTION, redispatch_after=9, events_of=no_events)[0]


def never_started(connection: Connection, job_id: UUID) -> Ended:
    rows.change(connection, job_id, queue_expires_at=rows.EARLIER)
    return sweep.expire_queued(connection, limit=9, retention=RETENTION)


@dataclass(frozen=True)
class Ending:
    """One way for a job to end."""

    end: Callable[[Connection, UUID], Ended]
    told: EventType
    before: Status = Status.IN_PROGRESS


ENDINGS = [
    Ending(completed, EventType.COMPLETED),
    Ending(incomplete, EventType.INCOMPLETE),
    Ending(failed, EventType.FAILED),
    Ending(cancelled, EventType.CANCELLED),
    Ending(cancelled, EventType.CANCELLED, Status.QUEUED),
    Ending(timed_out, EventType.FAILED),
    Ending(worker_lost, EventType.FAILED),
    Ending(never_started, EventType.FAILED, Status.QUEUED),
]
each_ending = pytest.mark.parametrize("ending", ENDINGS, ids=lambda one: f"{one.end.__name__}-{one.before}")


def put(connection: Connection, owner: UUID, ending: Ending, **columns: Any) -> UUID:
    return rows.put(connection, owner, ending.before, **columns)


@each_ending
def test_whoever_wants_to_know_is_told_and_nobody_else(own_database: Database, ending: Ending) -> None:
    others = [kind for kind in EventType if kind is not ending.told]
    with own_database.transaction() as connection:
        owner, stranger = rows.add_owner(connection), rows.add_owner(connection)
        everything = rows.add_endpoint(connection, owner, "https://a.example.com")
        only_this = rows.add_endpoint(connection, owner, "https://b.example.com", events=[ending.told])
        for unconcerned in (others, []):
            rows.add_endpoint(connection, owner, "https://c.example.com", events=unconcerned)
        rows.add_endpoint(connection, owner, "https://d.example.com", disabled_at=rows.NOW, disabled_reason="gone")
        rows.add_endpoint(connection, stranger, "https://e.example.com")
        job_id = put(connection, owner, ending)
        rows.put(connection, owner, ending.before)

    with own_database.transaction() as connection:
        ended = ending.end(connection, job_id)

    with own_database.transaction() as connection:
        found = connection.execute(select(DELIVERIES)).all()
        row = rows.row(connection, job_id)
    told = {everything, only_this}
    assert ended == Ended([job_id], sorted(told))
    assert {one.endpoint_id for one in found} == told
    assert len(found) == 2
    for one in found:
        assert (one.event_id, one.type, one.data_id, one.url) == (job_id, ending.told, public_id(job_id), None)
        assert (one.status, one.attempt, one.failures) == ("pending", 0, 0)
        assert one.next_attempt_at == one.created_at == row.ended_at
        assert (one.give_up_at - one.created_at).days == 2


@each_ending
def test_nothing_is_written_by_an_end_that_is_rolled_back(own_database: Database, ending: Ending) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        endpoint_id = rows.add_endpoint(connection, owner, "https://example.com")
        job_id = put(connection, owner, ending)

    def end_and_fail() -> None:
        with own_database.transaction() as connection:
            assert ending.end(connection, job_id).endpoint_ids == [endpoint_id]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        end_and_fail()

    with own_database.transaction() as connection:
        assert not connection.execute(select(DELIVERIES)).all()
        assert rows.row(connection, job_id).status == ending.before


@each_ending
def test_a_job_tells_the_webhook_it_came_with(own_database: Database, ending: Ending) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        origin = rows.add_endpoint(connection, owner, "https://example.com", events=[], source="job")
        own = {"webhook_endpoint_id": origin, "webhook_url": "https://example.com/hook?job=1"}
        job_id = put(connection, owner, ending, **own, webhook_events=[ending.told])

    with own_database.transaction() as connection:
        assert ending.end(connection, job_id) == Ended([job_id], [origin])
        [found] = connection.execute(select(DELIVERIES)).all()
    assert (found.endpoint_id, found.event_id, found.type) == (origin, job_id, ending.told)
    assert found.url == "https://example.com/hook?job=1"


@each_ending
def test_not_of_an_end_that_it_did_not_ask_for(own_database: Database, ending: Ending) -> None:
    others = [kind for kind in EventType if kind is not ending.told]
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        origin = rows.add_endpoint(connection, owner, "https://example.com", events=[], source="job")
        own = {"webhook_endpoint_id": origin, "webhook_url": "https://example.com/", "webhook_events": others}
        job_id = put(connection, owner, ending, **own)
        # Another job's webhook at the same server is none of this job's.
        plain = put(connection, owner, ending)

    with own_database.transaction() as connection:
        assert ending.end(connection, job_id) == Ended([job_id], [])
        assert ending.end(connection, plain) == Ended([plain], [])
        assert not connection.execute(select(DELIVERIES)).all()


def test_many_jobs_that_end_together_are_told_each_to_its_own(own_database: Database) -> None:
    with own_database.transaction() as connection:
        owners = [rows.add_owner(connection) for _ in range(3)]
        endpoints = [rows.add_endpoint(connection, owner, "https://example.com") for owner in owners]
        late = {"queue_expires_at": rows.EARLIER}
        made = [[rows.put(connection, owner, **late) for _ in range(20)] for owner in owners]

    with own_database.transaction() as connection:
        ended = sweep.expire_queued(connection, limit=100, retention=RETENTION)
        told = [deliveries.events(connection, endpoint_id) for endpoint_id in endpoints]

    assert sorted(ended.endpoint_ids) == sorted(endpoints)
    assert told == [{(job_id, EventType.FAILED.value) for job_id in own} for own in made]


def test_a_second_end_tells_nobody(own_database: Database) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        rows.add_endpoint(connection, owner, "https://example.com")
        job_id = rows.put(connection, owner, Status.IN_PROGRESS)

    with own_database.transaction() as connection:
        assert completed(connection, job_id).endpoint_ids
        assert completed(connection, job_id) == Ended()
        assert endings.cancel(connection, jobs.id == job_id, retention=RETENTION) is None
        assert len(connection.execute(select(DELIVERIES)).all()) == 1
