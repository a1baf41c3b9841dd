"""Migrated databases that outlive one test, for tests that look at their own rows only."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.engine import make_url

from app.db.engine import Database
from app.settings import Settings

MIGRATED = "simmer_template"


@contextmanager
def migrated(postgres: str, name: str, **settings: object) -> Iterator[Database]:
    """A new database `name` on the server, and a pool on it."""
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {MIGRATED}")
        # No test of these pulls the plug, and thousands of small commits need not wait for the disk.
        admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        url = make_url(postgres).set(database=name).render_as_string(hide_password=False)
        database = Database(Settings.model_validate({"database_url": url, **settings}))
        yield database
        database.close()
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
