"""Run the migrations. Only who does imports this: alembic takes 8 MB."""

import logging
import time

from alembic import command
from alembic.config import Config
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.db.engine import Database
from app.db.revision import MIGRATIONS, at_head
from app.domain.errors import UnavailableError

log = logging.getLogger(__name__)

LOCK_PAUSE = 3.0
"""Seconds between two tries to lock a table: requests that queued up behind the first go on meanwhile."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def upgrade(database: Database, *, timeout: float) -> None:
    """Bring the schema to the head, or leave it if it is newer. Waits up to `timeout` seconds for the database to
    answer, then as long for a table that somebody holds. Raises UnavailableError; nothing has changed then.
    """
    _wait_for(database, timeout)
    with database.transaction() as connection:
        if at_head(connection):
            return
    deadline = time.monotonic() + timeout
    while not _upgraded(database):
        if time.monotonic() >= deadline:
            raise UnavailableError(
                "A long transaction holds a table that the migration changes; nothing was changed. "
                "End it (pg_stat_activity shows it), and run `simmer migrate` again."
            )
        log.warning("a long transaction holds a table that the migration changes, trying again in %g s", LOCK_PAUSE)
        time.sleep(LOCK_PAUSE)


def _upgraded(database: Database) -> bool:
    """Whether the migrations got their locks in time; without them nothing was changed."""
    config = _config()
    config.attributes["database"] = database
    try:
        command.upgrade(config, "head")
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable | DeadlockDetected):
            raise
        return False
    return True


def _wait_for(database: Database, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            with database.transaction() as connection:
                connection.execute(text("SELECT 1"))
            return
        except UnavailableError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.5)
