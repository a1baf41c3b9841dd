"""Services on a real database, with fakes in the broker's place that remember what they were told."""

from collections.abc import Iterator

import pytest

from app.db.engine import Database
from tests.databases import migrated
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.doorbell import LocalDoorbell
from tests.integration.services.event_log import MemoryEventLog


@pytest.fixture(scope="session")
def database(postgres: str) -> Iterator[Database]:
    """Shared: a test looks at its own rows only."""
    with migrated(postgres, "shared_by_service_tests") as made:
        yield made


@pytest.fixture
def dispatcher() -> RecordingDispatcher:
    return RecordingDispatcher()


@pytest.fixture
def doorbell() -> LocalDoorbell:
    return LocalDoorbell()


@pytest.fixture
def event_log(doorbell: LocalDoorbell) -> MemoryEventLog:
    return MemoryEventLog(doorbell)
