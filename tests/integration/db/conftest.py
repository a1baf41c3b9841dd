"""A migrated database with a pool that is wide enough for races."""

from collections.abc import Iterator

import pytest

from app.db.engine import Database
from tests.databases import migrated


@pytest.fixture(scope="session")
def database(postgres: str) -> Iterator[Database]:
    """Shared: a test looks at its own rows only, and races with sixteen connections."""
    with migrated(postgres, "shared_by_db_tests", database_pool=16) as made:
        yield made
