"""The models and the migrations build one and the same schema; migrations go up, down, and up twice at once."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from app.db import metric_models, webhook_models  # noqa: F401 - so that their tables are in the metadata, too
from app.db.engine import Database
from app.db.migrate import upgrade
from app.db.models import Base
from app.db.revision import at_head, head, revisions
from app.settings import Settings
from tests.integration.db.migrations import ROOT, config
from tests.processes import Process, wait_until

MIGRATION_LOCK = 0x53494D4D4552
DEADLINE = 60.0

# One query for each kind of thing; each gives its whole definition as Postgres itself writes it.
DEFINITIONS = {
    "columns": """
        SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
            pg_get_expr(adbin, adrelid), attidentity, attgenerated, attcollation::regcollation, attstorage
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        JOIN pg_class AS c ON c.oid = attrelid
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    """,
    "indexes": "SELECT pg_get_indexdef(format('%I', indexname)::regclass) FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": """
        SELECT conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "triggers": "SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE NOT tgisinternal",
    "functions": """
        SELECT proname, pg_get_function_result(oid), regexp_replace(prosrc, '\\s+', ' ', 'g'), provolatile, proconfig
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """,
    "relations": """
        SELECT relname, relkind, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace
    """,
}
# What alembic keeps for itself.
OURS = "alembic_version"


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    made = Database(Settings(database_url=empty_database_url))
    yield made
    made.close()


def schema(database: Database) -> dict[str, list[str]]:
    with database.transaction() as connection:
        return {
            kind: sorted(found for row in connection.execute(text(query)) if OURS not in (found := str(row)))
            for kind, query in DEFINITIONS.items()
        }


def test_models_and_migrations_agree(database: Database, empty: Database) -> None:
    with empty.engine.begin() as connection:
        Base.metadata.create_all(connection)
    assert all(schema(empty).values()), "a query finds nothing"
    assert schema(database) == schema(empty)


def test_alembic_finds_no_difference(database: Database) -> None:
    options = {"compare_type": True, "compare_server_default": True}
    with database.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []


def test_downgrade_leaves_nothing_and_upgrade_works_again(own_database: Database) -> None:
    before = schema(own_database)
    command.downgrade(config(own_database), "base")
    assert not any(schema(own_database).values())
    upgrade(own_database, timeout=DEADLINE)
    assert schema(own_database) == before


def test_an_upgrade_of_an_upgraded_database_changes_nothing(database: Database) -> None:
    before = schema(database)
    upgrade(database, timeout=DEADLINE)
    assert schema(database) == before


def test_the_files_names_tell_what_alembic_knows(database: Database) -> None:
    newest_first = [script.revision for script in ScriptDirectory.from_config(config(database)).walk_revisions()]
    assert list(revisions()) == newest_first[::-1]


def test_the_database_tells_whether_it_is_at_the_head(database: Database, empty: Database) -> None:
    assert head()
    with database.transaction() as connection:
        assert at_head(connection)
    with empty.transaction() as connection:
        assert not at_head(connection)


def test_of_two_upgrades_at_once_one_waits_for_the_other(
    empty: Database, empty_database_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(empty_database_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        both = [alembic(tmp_path / f"{name}.log", empty_database_url, "upgrade", "head") for name in ("one", "two")]
        with both[0], both[1]:
            wait_until(lambda: _waiting(holder) == 2, DEADLINE, "both upgrades wait for the lock")
            holder.commit()
            assert [process.wait(DEADLINE) for process in both] == [0, 0], [process.output() for process in both]
    with empty.transaction() as connection:
        assert at_head(connection)


def _waiting(connection: psycopg.Connection) -> int:
    found = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone()
    assert found
    return int(found[0])


def test_alembics_own_command_line_works(empty: Database, empty_database_url: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        with alembic(tmp_path / "alembic.log", empty_database_url, *arguments) as process:
            assert process.wait(DEADLINE) == 0, process.output()
            return process.output()

    run("upgrade", "head")
    assert f"{head()} (head)" in run("current")
    assert "No new upgrade operations detected" in run("check")
    run("downgrade", "base")
    assert not any(schema(empty).values())


def alembic(log: Path, database_url: str, *arguments: str) -> Process:
    env = {"SIMMER_DATABASE_URL": database_url, "PYTHONPATH": os.fspath(ROOT)}
    return Process([sys.executable, "-m", "alembic", *arguments], log=log, env=env, cwd=ROOT)
