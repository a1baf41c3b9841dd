"""Migrated databases with a pool on them, and somebody who owns jobs."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from app.db.engine import Database
from app.settings import Settings
from tests import rows
from tests.databases import migrated


@pytest.fixture(scope="session")
def database(postgres: str) -> Iterator[Database]:
    """Shared: a test looks at its own rows only, and races with sixteen connections."""
    with migrated(postgres, "shared_by_db_tests", database_pool=16) as made:
        yield made


@pytest.fixture
def own_database(database_url: str) -> Iterator[Database]:
    """The test's own, without rows."""
    made = Database(Settings(database_url=database_url))
    yield made
    made.close()


@pytest.fixture
def owner(database: Database) -> UUID:
    """Somebody who owns jobs in the shared database."""
    with database.transaction() as connection:
        return rows.add_owner(connection)
