"""For tests of one part on a real database; each folder has a `database` that its tests share."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from app.db.engine import Database
from app.settings import Settings
from tests import rows


@pytest.fixture
def own_database(database_url: str) -> Iterator[Database]:
    """The test's own, without rows: for what acts on all there are."""
    made = Database(Settings(database_url=database_url))
    yield made
    made.close()


@pytest.fixture
def owner(database: Database) -> UUID:
    """Somebody who owns jobs in the shared database."""
    with database.transaction() as connection:
        return rows.add_owner(connection)
