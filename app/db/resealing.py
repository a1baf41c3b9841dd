"""Which keys the stored payloads are sealed with, and sealing them anew."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Text, bindparam, case, cast, func, select, text, update

from app.db.jobs import jobs
from app.db.models import TABLE
from app.db.sealing import PAYLOADS, opened, sealed, sealer_of
from app.db.webhook_models import WebhookSecret
from app.db.webhook_secrets import open_, seal
from app.domain.encryption import PREFIX, SealedError

PLAIN = ""
"""In place of a key's id: not sealed."""
_HEAD = 100
"""More than a key's id and what stands before it."""


def keys_in_use(connection: Connection, after: UUID | None, *, limit: int) -> list[tuple[UUID, frozenset[str]]]:
    """The next `limit` jobs after the given id, each with the ids of the keys that it takes to read it."""
    columns = [_key_id(jobs[name]) for name in PAYLOADS]
    statement = select(jobs.id, *columns).order_by(jobs.id).limit(limit)
    rows = connection.execute(statement.where(jobs.id > after) if after else statement)
    return [(row[0], frozenset(key_id for key_id in row[1:] if key_id is not None)) for row in rows]


def reseal(connection: Connection, job_ids: Sequence[UUID]) -> int:
    """Seal the payloads of these jobs under the current key, or not at all if there is none; return how many it were.

    Those that do not open, that are gone, and that somebody else is just writing, are left as they are.
    """
    # For the trigger, which otherwise lets nobody touch what has ended.
    connection.execute(text("SELECT set_config('simmer.resealing', 'on', true)"))
    columns = [jobs[name] for name in PAYLOADS]
    # SKIP LOCKED: with no wait for a lock there is no deadlock with those who lock several rows themselves.
    found = select(jobs.id, *columns).where(jobs.id.in_(job_ids)).with_for_update(skip_locked=True)
    rows = connection.execute(found).all()
    anew = [values for row in rows if (values := _resealed(connection, row.id, row._mapping))]  # noqa: SLF001
    if anew:
        statement = update(TABLE).where(jobs.id == bindparam("job_id"))
        connection.execute(statement, anew)
    return len(anew)


def secret_keys_in_use(connection: Connection, after: UUID | None, *, limit: int) -> list[tuple[UUID, frozenset[str]]]:
    """The next `limit` webhook secrets after the given id, each with the id of the key that it takes to read it."""
    key_id = func.coalesce(func.substring(WebhookSecret.secret, f"^{PREFIX}([^:]*):"), PLAIN)
    statement = select(WebhookSecret.id, key_id).order_by(WebhookSecret.id).limit(limit)
    rows = connection.execute(statement.where(WebhookSecret.id > after) if after else statement)
    return [(row[0], frozenset({row[1]})) for row in rows]


def reseal_secrets(connection: Connection, secret_ids: Sequence[UUID]) -> int:
    """The same as `reseal` for these webhook secrets."""
    wanted = select(WebhookSecret.id, WebhookSecret.secret).where(WebhookSecret.id.in_(secret_ids))
    rows = connection.execute(wanted.with_for_update(skip_locked=True)).all()
    sealer = sealer_of(connection)
    done = 0
    for row in rows:
        try:
            secret = seal(sealer, row.id, open_(sealer, row.id, row.secret))
        except SealedError:
            continue
        connection.execute(update(WebhookSecret).where(WebhookSecret.id == row.id).values(secret=secret))
        done += 1
    return done


def _resealed(connection: Connection, job_id: UUID, row: Mapping[Any, Any]) -> dict[str, Any] | None:
    sealer = sealer_of(connection)
    try:
        plain = {name: opened(sealer, job_id, name, row[name]) for name in PAYLOADS}
    except SealedError:
        return None
    return {"job_id": job_id, **sealed(sealer, job_id, **plain)}


def _key_id(column: ColumnElement[Any]) -> ColumnElement[str | None]:
    """The id of the key that the column is sealed with, PLAIN if it is not, NULL if it is empty."""
    if column.name == "events":
        head, before = func.encode(func.substring(column, 1, _HEAD), "escape"), "^"
    else:
        head, before = func.left(cast(column, Text), _HEAD), '^"'
    found = func.substring(head, f"{before}{PREFIX}([^:]*):")
    return case((column.is_not(None), func.coalesce(found, PLAIN))).label(f"{column.name}_key")
