"""Noting what the sweep and the purge did, for whoever watches."""

from collections.abc import Mapping

from app.db import metrics as db
from app.db.engine import Database
from app.domain.totals import Chore


def note(database: Database, done: Mapping[Chore, int]) -> None:
    """Add to what was done so far. Raises UnavailableError."""
    with database.transaction() as connection:
        db.done(connection, done)
