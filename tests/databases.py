"""Migrated databases that outlive one test, for tests that look at their own rows only."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from app.db.engine import Database
from app.settings import Settings
from tests.processes import wait_until

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
        drop(admin, name)


def drop(admin: psycopg.Connection, name: str) -> None:
    """Drop a database, whoever is still in it."""
    wait_until(lambda: _dropped(admin, name), 30, f"{name} is dropped")


def _dropped(admin: psycopg.Connection, name: str) -> bool:
    try:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege:
        # An autovacuum is at work in it, which only a superuser may end; it is over in a moment.
        return False
    return True
