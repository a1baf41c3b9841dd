"""Services on a real database, with a dispatcher that remembers what it was told."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from app.db.engine import Database
from app.settings import Settings
from tests import rows
from tests.databases import migrated
from tests.integration.services.dispatcher import RecordingDispatcher


@pytest.fixture(scope="session")
def database(postgres: str) -> Iterator[Database]:
    """Shared: a test looks at its own rows only."""
    with migrated(postgres, "shared_by_service_tests") as made:
        yield made


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


@pytest.fixture
def dispatcher() -> RecordingDispatcher:
    return RecordingDispatcher()
