"""Runs the migrations on the database that the settings name."""

from alembic import context
from sqlalchemy import create_engine, text

from app.db.engine import sqlalchemy_url
from app.db.models import Base
from app.settings import load_settings

MIGRATION_LOCK = 0x51_4D_4D_45_52
"""Key of the advisory lock under which migrations run: of two that start at once, one waits for the other."""
LOCK_TIMEOUT = "5s"
"""How long a migration may wait for a table's lock. Queries queue up behind that wait, so it must be short."""


def run_migrations() -> None:
    """Upgrade or downgrade in one transaction."""
    settings = load_settings()
    settings.require("database_url")
    engine = create_engine(sqlalchemy_url(settings.database_url))
    with engine.connect() as connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
        context.run_migrations()
    engine.dispose()


run_migrations()
