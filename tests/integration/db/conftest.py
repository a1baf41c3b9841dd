"""A migrated database, a pool on it, and somebody who owns jobs."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from app.db.engine import Database
from app.settings import Settings
from tests import rows


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(Settings(database_url=database_url))
    yield made
    made.close()


@pytest.fixture
def owner(database: Database) -> UUID:
    with database.transaction() as connection:
        return rows.add_owner(connection)
