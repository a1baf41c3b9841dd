"""Runs the migrations: on the caller's engine (`simmer migrate`), or on the settings' database (`alembic …`)."""

from alembic import context
from sqlalchemy import text

from app.db import metric_models, webhook_models  # noqa: F401 - so that their tables are in the metadata, too
from app.db.engine import Database
from app.db.models import Base
from app.settings import load_settings

MIGRATION_LOCK = 0x53494D4D4552
"""Key of the advisory lock under which migrations run: of two that start at once, one waits for the other."""
LOCK_TIMEOUT = "1s"
"""How long a migration may wait for a table's lock. Queries queue up behind that wait, so it must be far below
`SIMMER_LOCK_TIMEOUT`, which is theirs; `simmer migrate` tries again."""


def run_migrations() -> None:
    """Upgrade or downgrade in one transaction."""
    database = context.config.attributes.get("database") or Database(load_settings())
    with database.engine.connect() as connection, connection.begin():
        # The advisory lock may be waited for as long as it takes, and a large table may take its time.
        connection.execute(text("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
        context.run_migrations()


run_migrations()
