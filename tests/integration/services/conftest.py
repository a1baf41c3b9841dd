"""Services on a real database, with a dispatcher that remembers what it was told."""

from collections.abc import Iterator

import pytest

from app.db.engine import Database
from tests.databases import migrated
from tests.integration.services.dispatcher import RecordingDispatcher


@pytest.fixture(scope="session")
def database(postgres: str) -> Iterator[Database]:
    """Shared: a test looks at its own rows only."""
    with migrated(postgres, "shared_by_service_tests") as made:
        yield made


@pytest.fixture
def dispatcher() -> RecordingDispatcher:
    return RecordingDispatcher()
