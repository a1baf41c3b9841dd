"""What the purges of jobs and of webhook deliveries have in common: they delete what has expired, batch after batch."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Delete, func, select


class Purged(NamedTuple):
    """How many rows one batch of a purge deleted, and when the last of them had expired."""

    deleted: int
    last: datetime | None


def expired(expires_at: ColumnElement[Any], since: datetime | None) -> list[ColumnElement[bool]]:
    """The rows whose retention is over, but for those that had expired before `since`.

    A batch that begins where the last one ended does not walk over what that has deleted: it stays in the index until
    no transaction can see it any more and a vacuum came by.
    """
    return [expires_at <= func.now()] + ([expires_at >= since] if since else [])


def delete(connection: Connection, statement: Delete, expires_at: ColumnElement[Any]) -> Purged:
    """Run the statement, whose rows have this column."""
    gone = statement.returning(expires_at.label("expires_at")).cte("gone")
    # For this transaction. Nobody is told that a row is purged: what a crash brings back is deleted again.
    unsynced = func.set_config("synchronous_commit", "off", True)
    found = connection.execute(select(func.count(), func.max(gone.c.expires_at), unsynced).select_from(gone)).one()
    return Purged(found[0], found[1])
