"""Which revision the schema is at, and which this code was written for."""

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, text

MIGRATIONS = Path(__file__).parents[2] / "migrations"


@cache
def revisions() -> tuple[str, ...]:
    """All that this code knows, the newest last. Each is the first word of its file's name."""
    return tuple(sorted(script.stem.partition("_")[0] for script in MIGRATIONS.glob("versions/*.py")))


def head() -> str:
    """The newest revision that this code knows."""
    return revisions()[-1]


def at_head(connection: Connection) -> bool:
    """Whether the schema is the one this code was written for, or a newer one, which this code does not know: during an
    upgrade the release before runs on it.
    """
    # Asked first: a table that is not there would fail the transaction.
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return False
    revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision is not None and revision not in revisions()[:-1]
