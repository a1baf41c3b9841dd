"""The statements that go past SQLAlchemy give what it would, raise what it would, and tell no more than it may."""

import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import ARRAY, ColumnElement, Connection, Integer, Text, bindparam, literal, select
from sqlalchemy.exc import IntegrityError

from app.db import lookup, submission
from app.db.direct import Direct
from app.db.engine import Database
from app.domain.ids import new_id
from app.domain.jobs import Dispatch, Idempotency, Job, Limits
from app.domain.requests import JobRequest, message
from tests import rows
from tests.statements import recorded

CANARY = "canary-91c4"
REQUEST = JobRequest("m", (message("user", CANARY),), reasoning={"effort": "low"}, metadata={"a": "b"}, stream=True)
GREENLETS = Path(__file__).with_name("greenlets_wait.py")


@pytest.fixture
def owner(database: Database) -> UUID:
    with database.transaction() as connection:
        return rows.add_owner(connection)


def add(connection: Connection, owner: UUID, idempotency: Idempotency | None = None) -> Job | None:
    return submission.add(
        connection,
        Dispatch(new_id(), "default", Limits(1, 2, 3)),
        owner,
        REQUEST,
        queue_timeout=60,
        redispatch_after=60,
        idempotency=idempotency,
    )


def test_a_job_is_the_same_as_through_sqlalchemy(database: Database, owner: UUID) -> None:
    with database.autocommit() as connection:
        added = add(connection, owner)
        assert added
        found = lookup.get(connection, added.id, owner)
    with recorded(database) as sent, database.autocommit() as connection:
        assert lookup.get(connection, added.id, owner) == found == added
        assert add(connection, owner)
    assert len(sent) == 2, "who listens is told"
    assert (found.request, found.metadata, found.stream) == (REQUEST.parameters(), {"a": "b"}, True)


def test_values_of_the_statement_s_own(database: Database) -> None:
    numbers = count()
    columns: list[ColumnElement[Any]] = [
        bindparam("next", type_=Integer, callable_=lambda: next(numbers)),
        literal(None, Text),
        literal(["a"], ARRAY(Text)),
        bindparam("given", type_=Text),
    ]
    statement = Direct(select(*columns))
    with database.autocommit() as connection:
        assert statement.row(connection, {"given": "b"}) == (0, None, ["a"], "b")
        assert statement.row(connection, {"given": None}) == (1, None, ["a"], None)


def test_nothing_is_none(database: Database, owner: UUID) -> None:
    key = Idempotency("k", b"digest")
    with database.autocommit() as connection:
        assert lookup.get(connection, new_id(), owner) is None
        assert add(connection, owner, key)
        assert add(connection, owner, key) is None


def test_an_error_is_sqlalchemys_and_does_not_quote_the_row(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught, database.autocommit() as connection:
        add(connection, new_id())
    nobodys = str(caught.value), str(caught.value.orig)
    assert all("foreign key" in told for told in nobodys)
    assert not any(CANARY in told or "DETAIL" in told for told in nobodys)
    with database.autocommit() as connection:
        assert lookup.get(connection, new_id(), new_id()) is None, "the connection is good again"


def test_greenlets_wait_side_by_side(database: Database) -> None:
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, GREENLETS, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": "."},
    )
    assert done.stdout.split() == ["8", "together", "limit", "killed", "again"], done.stderr
