"""Migrations on a database in use: a table that somebody holds is not waited for at everybody's cost."""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from app.db import migrate
from app.db.engine import Database
from app.db.revision import at_head, head, revisions
from app.domain.errors import UnavailableError
from app.settings import Settings
from tests import rows
from tests.integration.db.migrations import ROOT
from tests.integration.services.owners import REQUEST, caller, job_service
from tests.processes import wait_until

DEADLINE = 30.0
NEXT = '''"""The next release's."""

from alembic import op

revision = "next"
down_revision = {head!r}


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN next text")
'''


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """As the API has it, whose statements wait for a lock for less time than a test can be slow."""
    made = Database(Settings(database_url=database_url, lock_timeout=3))
    yield made
    made.close()


@contextmanager
def next_release(folder: Path) -> Iterator[None]:
    """For the block this is the code of the next release, which adds a column."""
    shutil.copytree(ROOT / "migrations", folder / "migrations")
    (folder / "migrations/versions/next.py").write_text(NEXT.format(head=head()))
    with pytest.MonkeyPatch.context() as patch:
        for module in ("app.db.migrate", "app.db.revision"):
            patch.setattr(f"{module}.MIGRATIONS", folder / "migrations")
        patch.setattr(migrate, "LOCK_PAUSE", 0.2)
        revisions.cache_clear()
        yield
    revisions.cache_clear()


@contextmanager
def reader(url: str) -> Iterator[psycopg.Connection]:
    """A transaction that has read jobs, and stays open: a dump, a report, a forgotten console."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT count(*) FROM jobs")
        yield connection


class Upgrade(threading.Thread):
    """`simmer migrate` in the background."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(daemon=True)
        self.error: Exception | None = None
        self._settings, self._timeout = Settings(database_url=url), timeout
        self.start()

    def run(self) -> None:
        try:
            migrate.upgrade(Database(self._settings), timeout=self._timeout)
        except Exception as error:  # noqa: BLE001 - it is for the test to see
            self.error = error


def revision(database: Database) -> str:
    with database.transaction() as connection:
        return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def waits_for_lock(url: str) -> bool:
    asked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(asked).fetchone()
    return bool(found and found[0])


def test_a_migration_gives_up_on_a_table_that_is_held_and_creates_go_on(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    before = revision(database)
    with database.transaction() as connection:
        owner = caller(rows.add_owner(connection))
    created = 0
    with next_release(tmp_path), reader(database_url):
        upgrade = Upgrade(database_url, timeout=0.5)
        wait_until(lambda: waits_for_lock(database_url), DEADLINE, "the migration waits")
        while upgrade.is_alive():
            # Queues up behind the migration, and may wait for 3 s.
            job_service(database).submit(owner, REQUEST)
            created += 1
    assert created
    assert isinstance(upgrade.error, UnavailableError)
    assert "simmer migrate" in upgrade.error.message
    assert revision(database) == before


def test_a_migration_tries_again_until_the_table_is_free(
    database: Database, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with next_release(tmp_path):
        with reader(database_url), caplog.at_level(logging.WARNING):
            upgrade = Upgrade(database_url, timeout=DEADLINE)
            wait_until(lambda: "trying again" in caplog.text, DEADLINE, "a word about the table that is held")
        upgrade.join(DEADLINE)
    assert not upgrade.is_alive()
    assert upgrade.error is None
    assert revision(database) == "next"


def test_the_release_before_takes_a_newer_schema_for_its_own(database: Database, tmp_path: Path) -> None:
    with next_release(tmp_path):
        migrate.upgrade(database, timeout=DEADLINE)
    assert head() != "next"
    with database.transaction() as connection:
        assert at_head(connection)
    # After a roll-back its own `simmer migrate` runs first.
    migrate.upgrade(database, timeout=DEADLINE)
    assert revision(database) == "next"


def test_an_older_schema_is_not_up_to_date(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        assert not at_head(connection)
