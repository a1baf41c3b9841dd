"""The lifecycle in SQL: the guarded moves, the CHECK constraints, and the trigger that keeps an end an end."""

from itertools import product
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import delete, text
from sqlalchemy.exc import IntegrityError

from app.db.engine import Database
from app.db.jobs import jobs, move
from app.db.models import Job as JobTable
from app.domain.errors import IllegalMoveError
from app.domain.lifecycle import TERMINAL, Move, Status
from tests import rows
from tests.rows import EARLIER, LATER, NOW

# What the caller of a move must give; the move itself sees to all else that the new state demands.
GIVEN: dict[Move, dict[str, Any]] = {
    Move.CLAIM: {"attempt": jobs.attempt + 1, "lease_expires_at": LATER, "run_deadline_at": LATER},
    Move.COMPLETE: {"output": [{"type": "message"}], "expires_at": LATER},
    Move.FAIL: {"error_code": "timeout", "error_message": "Too late.", "expires_at": LATER},
    Move.EXPIRE: {"error_code": "queue_timeout", "error_message": "Too late.", "expires_at": LATER},
    Move.REQUEUE: {"redispatch_at": LATER},
    Move.CANCEL: {"expires_at": LATER},
}

# Each constraint, and what breaks it alone: a state and what is wrong about it.
BROKEN: list[tuple[str, Status, dict[str, Any]]] = [
    ("status", Status.QUEUED, {"status": "paused", "redispatch_at": None, "attempt": 1}),
    ("attempt", Status.QUEUED, {"attempt": -1}),
    ("attempt", Status.IN_PROGRESS, {"attempt": 5}),
    ("limits", Status.QUEUED, {"soft_time_limit": 0}),
    ("limits", Status.QUEUED, {"soft_time_limit": 61}),
    ("lease", Status.IN_PROGRESS, {"lease_expires_at": None}),
    ("lease", Status.IN_PROGRESS, {"run_deadline_at": None}),
    ("lease", Status.QUEUED, {"lease_expires_at": LATER}),
    ("lease", Status.QUEUED, {"run_deadline_at": LATER}),
    ("redispatch", Status.QUEUED, {"redispatch_at": None}),
    ("redispatch", Status.IN_PROGRESS, {"redispatch_at": LATER}),
    ("ended", Status.QUEUED, {"ended_at": NOW, "expires_at": LATER}),
    ("ended", Status.IN_PROGRESS, {"expires_at": LATER}),
    ("output", Status.QUEUED, {"output": []}),
    ("error", Status.QUEUED, {"error_code": "timeout", "error_message": "Too late."}),
    ("error", Status.IN_PROGRESS, {"error_message": "Too late."}),
    ("idempotency", Status.QUEUED, {"idempotency_key": "mine"}),
    ("idempotency", Status.QUEUED, {"request_digest": b"digest"}),
    ("streamed", Status.IN_PROGRESS, {"streamed": True}),
    ("started", Status.IN_PROGRESS, {"attempt": 0}),
]
# Ended rows can't be changed into a broken one: only inserted.
BROKEN_ENDS: list[tuple[str, Status, dict[str, Any]]] = [
    *[("ended", status, {"ended_at": None, "expires_at": None}) for status in sorted(TERMINAL)],
    *[("ended", status, {"expires_at": None}) for status in sorted(TERMINAL)],
    ("output", Status.COMPLETED, {"output": None}),
    ("output", Status.CANCELLED, {"output": []}),
    ("error", Status.FAILED, {"error_code": None, "error_message": None}),
    ("error", Status.FAILED, {"error_message": None}),
    ("error", Status.COMPLETED, {"error_code": "timeout", "error_message": "Too late."}),
    ("started", Status.COMPLETED, {"attempt": 0}),
]
FORBIDDEN: dict[str, Any] = {
    "status": "queued",
    "output": [{"type": "other"}],
    "usage": {"total_tokens": 4},
    "incomplete_reason": "max_output_tokens",
    "error_code": "timeout",
    "error_message": "Something else.",
    "ended_at": EARLIER,
    "attempt": 2,
    "events": b"other",
}


@pytest.mark.parametrize(("move_", "status"), list(product(Move, Status)))
def test_a_move_happens_exactly_where_the_table_has_it(
    database: Database, owner: UUID, move_: Move, status: Status
) -> None:
    with database.transaction() as connection:
        job_id = rows.put(connection, owner, status)
        before = rows.image(connection, job_id)
        moved = move(connection, move_, jobs.id == job_id, **GIVEN[move_])
        try:
            target = move_.check(status)
        except IllegalMoveError:
            assert moved == []
            assert rows.image(connection, job_id) == before
        else:
            assert [found.id for found in moved] == [job_id]
            _check_state(rows.row(connection, job_id), target)


def _check_state(row: Any, status: Status) -> None:
    assert row.status == status
    assert (row.redispatch_at is not None) == (status is Status.QUEUED)
    assert (row.lease_expires_at is not None) == (status is Status.IN_PROGRESS)
    assert (row.run_deadline_at is not None) == (status is Status.IN_PROGRESS)
    assert (row.ended_at is not None) == (status in TERMINAL)


@pytest.mark.parametrize("move_", Move)
def test_a_move_leaves_other_rows_alone(database: Database, owner: UUID, move_: Move) -> None:
    source = min(move_.sources)
    with database.transaction() as connection:
        job_id, other = rows.put(connection, owner, source), rows.put(connection, owner, source)
        before = rows.image(connection, other)
        assert move(connection, move_, jobs.id == job_id, **GIVEN[move_])
        assert rows.image(connection, other) == before


@pytest.mark.parametrize(("constraint", "status", "wrong"), BROKEN + BROKEN_ENDS)
def test_a_row_that_breaks_a_constraint_is_not_inserted(
    database: Database, owner: UUID, constraint: str, status: Status, wrong: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError) as refused, database.transaction() as connection:
        rows.put(connection, owner, status, **wrong)
    assert _constraint(refused.value) == f"jobs_{constraint}_check"


@pytest.mark.parametrize(("constraint", "status", "wrong"), BROKEN)
def test_a_row_is_not_changed_into_one_that_breaks_a_constraint(
    database: Database, owner: UUID, constraint: str, status: Status, wrong: dict[str, Any]
) -> None:
    with database.transaction() as connection:
        job_id = rows.put(connection, owner, status)
    with pytest.raises(IntegrityError) as refused, database.transaction() as connection:
        rows.change(connection, job_id, **wrong)
    assert _constraint(refused.value) == f"jobs_{constraint}_check"


def test_every_constraint_is_tried(database: Database) -> None:
    with database.transaction() as connection:
        found = connection.scalars(
            text("SELECT conname FROM pg_constraint WHERE conrelid = 'jobs'::regclass AND contype = 'c'")
        )
        assert set(found) == {f"jobs_{constraint}_check" for constraint, _, _ in BROKEN}


@pytest.mark.parametrize(("status", "column"), list(product(sorted(TERMINAL), FORBIDDEN)))
def test_what_an_ended_job_came_to_never_changes(database: Database, owner: UUID, status: Status, column: str) -> None:
    with database.transaction() as connection:
        job_id = rows.put(connection, owner, status)
        before = rows.image(connection, job_id)
    with pytest.raises(IntegrityError) as refused, database.transaction() as connection:
        rows.change(connection, job_id, **{column: FORBIDDEN[column]})
    assert isinstance(refused.value.orig, psycopg.errors.RestrictViolation)
    with database.transaction() as connection:
        assert rows.image(connection, job_id) == before


@pytest.mark.parametrize(
    ("status", "column"),
    [(Status.COMPLETED, "output"), (Status.COMPLETED, "usage"), (Status.FAILED, "error_code")],
)
def test_the_result_of_an_ended_job_is_not_emptied(
    database: Database, owner: UUID, status: Status, column: str
) -> None:
    with database.transaction() as connection:
        job_id = rows.put(connection, owner, status)
    with pytest.raises(IntegrityError) as refused, database.transaction() as connection:
        rows.change(connection, job_id, **{column: None})
    assert isinstance(refused.value.orig, psycopg.errors.RestrictViolation)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_an_ended_job_may_be_kept_for_longer_and_deleted(database: Database, owner: UUID, status: Status) -> None:
    with database.transaction() as connection:
        job_id = rows.put(connection, owner, status)
        before = rows.row(connection, job_id)
        rows.change(connection, job_id, expires_at=EARLIER, worker=None, status=status.value)
        after = rows.row(connection, job_id)
        assert after.expires_at < before.expires_at
        assert after.worker is None
        connection.execute(delete(JobTable).where(jobs.id == job_id))
        assert rows.image(connection, job_id) is None


def _constraint(error: IntegrityError) -> str | None:
    assert isinstance(error.orig, psycopg.errors.CheckViolation)
    return error.orig.diag.constraint_name
