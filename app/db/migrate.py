"""Run the migrations, and tell whether the database is at their head."""

import time
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.db.engine import Database
from app.domain.errors import UnavailableError


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations").replace("%", "%%"))
    return config


def upgrade(database: Database, *, timeout: float) -> None:
    """Bring the schema to the head; wait up to `timeout` seconds for the database to answer first."""
    _wait_for(database, timeout)
    config = _config()
    config.attributes["database"] = database
    command.upgrade(config, "head")


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


@cache
def head() -> str | None:
    """The newest revision that this code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def at_head(connection: Connection) -> bool:
    """Whether the schema is the one this code was written for."""
    return MigrationContext.configure(connection).get_current_revision() == head()
