"""The migrations' way with rows: what was stored by an older Simmer is read by this one, and back."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from sqlalchemy import text

from app.db import jobs as db
from app.db import lookup
from app.db.engine import Database
from app.db.migrate import upgrade
from app.domain.ids import new_id
from app.domain.lifecycle import Status
from app.domain.requests import JobRequest, message
from app.settings import Settings
from tests import rows
from tests.integration.db.migrations import config
from tests.rows import OF_STATUS

DEADLINE = 60.0
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "texts": ["Be brief."]},
    {"role": "user", "texts": ["Zwölf \\u0000 \N{SNOWMAN}", "and\nmore", ""]},
    {"role": "assistant", "texts": ["Yes?"]},
]
REQUEST: dict[str, Any] = {
    "model": "gpt-4.1",
    "inputs": CONVERSATION,
    "instructions": "in verse",
    "temperature": 0,
    "max_output_tokens": 7,
    "metadata": {"team": "a"},
}
PARAMETERS: dict[str, Any] = {"instructions": "in verse", "temperature": 0, "max_output_tokens": 7}
ITEMS = (
    message("system", "Be brief."),
    message("user", "Zwölf \\u0000 \N{SNOWMAN}", "and\nmore", ""),
    message("assistant", "Yes?"),
)
_INSERT = text("""
    INSERT INTO jobs (id, api_key_id, status, model, request, metadata, soft_time_limit, time_limit, max_attempts,
        attempt, queue, queue_expires_at, redispatch_at, ended_at, expires_at, output)
    VALUES (:id, :owner, :status, 'gpt-4.1', :request, '{"team": "a"}', 50, 60, 4,
        CASE :status WHEN 'completed' THEN 1 ELSE 0 END, 'default', now() + interval '1 hour',
        CASE :status WHEN 'queued' THEN now() END,
        CASE :status WHEN 'completed' THEN now() END,
        CASE :status WHEN 'completed' THEN now() + interval '1 hour' END,
        CASE :status WHEN 'completed' THEN json_build_array(1) END)
""")


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Database]:
    """As the first migration left it."""
    made = Database(Settings(database_url=empty_database_url))
    command.upgrade(config(made), "0001")
    yield made
    made.close()


@pytest.fixture
def owner(old: Database) -> UUID:
    with old.transaction() as connection:
        key = text("INSERT INTO api_keys (id, name, scopes) VALUES (:id, 'old', '{admin}') RETURNING id")
        return UUID(str(connection.scalar(key, {"id": new_id()})))


def put_old(database: Database, owner: UUID, status: Status, request: dict[str, Any]) -> UUID:
    values = {"id": new_id(), "owner": owner, "status": status.value, "request": json.dumps(request)}
    with database.transaction() as connection:
        connection.execute(_INSERT, values)
    return UUID(str(values["id"]))


def stored_request(database: Database, job_id: UUID) -> Any:
    with database.transaction() as connection:
        return connection.scalar(text("SELECT request FROM jobs WHERE id = :id"), {"id": job_id})


@pytest.mark.parametrize("status", [Status.QUEUED, Status.COMPLETED])
def test_a_job_of_the_first_schema_is_the_same_in_the_second(old: Database, owner: UUID, status: Status) -> None:
    job_id = put_old(old, owner, status, REQUEST)
    upgrade(old, timeout=DEADLINE)
    with old.transaction() as connection:
        found = lookup.get_request(connection, job_id, owner)
        assert found
        row = rows.row(connection, job_id)
    job, request = found
    assert request == JobRequest("gpt-4.1", ITEMS, **PARAMETERS, metadata={"team": "a"})
    assert (job.status, job.background, job.stream, job.store, job.output) == (
        status,
        True,
        False,
        True,
        [1] if status is Status.COMPLETED else None,
    )
    assert (row.request, row.streamed, row.events, row.idempotency_key) == (PARAMETERS, False, None, None)


def test_a_job_that_waited_during_the_upgrade_is_run(old: Database, owner: UUID) -> None:
    job_id = put_old(old, owner, Status.QUEUED, REQUEST)
    upgrade(old, timeout=DEADLINE)
    with old.transaction() as connection:
        claim = db.claim(connection, job_id, worker="jobs@test", lease=60)
    assert claim
    assert claim.request.inputs == ITEMS


@pytest.mark.parametrize("request_", [{"model": "m", "inputs": []}, {"model": "m", "inputs": CONVERSATION}])
def test_a_request_without_parameters_has_none(old: Database, owner: UUID, request_: dict[str, Any]) -> None:
    job_id = put_old(old, owner, Status.QUEUED, request_)
    upgrade(old, timeout=DEADLINE)
    assert stored_request(old, job_id) == {}


def test_a_downgrade_gives_the_first_schemas_rows_back(old: Database, owner: UUID) -> None:
    job_ids = [put_old(old, owner, status, REQUEST) for status in (Status.QUEUED, Status.COMPLETED)]
    upgrade(old, timeout=DEADLINE)
    command.downgrade(config(old), "0001")
    # The metadata were there twice; the column is what was read.
    kept = {name: value for name, value in REQUEST.items() if name != "metadata"}
    assert [stored_request(old, job_id) for job_id in job_ids] == [kept, kept]
    upgrade(old, timeout=DEADLINE)
    with old.transaction() as connection:
        found = [lookup.get_request(connection, job_id, owner) for job_id in job_ids]
    assert [each[1].inputs for each in found if each] == [ITEMS, ITEMS]


def test_a_downgrade_keeps_the_texts_of_what_the_first_schema_had_no_place_for(own_database: Database) -> None:
    image = {"type": "input_image", "image_url": "data:", "detail": "auto"}
    inputs = [
        message("user", "What is this?") | {"content": [{"type": "input_text", "text": "What is this?"}, image]},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
        {"type": "message", "role": "user", "content": [image]},
    ]
    with own_database.transaction() as connection:
        job_id = rows.put(connection, rows.add_owner(connection), inputs={"inputs": inputs}, stream=True, store=False)
    command.downgrade(config(own_database), "0001")
    assert stored_request(own_database, job_id) == {
        "model": "gpt-4.1",
        "inputs": [{"role": "user", "texts": ["What is this?"]}, {"role": "user", "texts": []}],
    }


@pytest.mark.parametrize("status", sorted(OF_STATUS))
def test_what_ended_stays_final_after_a_downgrade(own_database: Database, status: Status) -> None:
    with own_database.transaction() as connection:
        job_id = rows.put(connection, rows.add_owner(connection), status)
    command.downgrade(config(own_database), "0001")
    change = text("UPDATE jobs SET incomplete_reason = 'other' WHERE id = :id")
    with own_database.engine.connect() as connection:
        if not status.terminal:
            assert connection.execute(change, {"id": job_id}).rowcount == 1
            return
        with pytest.raises(Exception, match="which is final"):
            connection.execute(change, {"id": job_id})
