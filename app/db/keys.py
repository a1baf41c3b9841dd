"""Every query on API keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, func, insert, or_, select, update

from app.db.jobs import from_now
from app.db.models import ApiKey, ApiKeySecret
from app.domain.rates import Overrides, parse_rate

keys = ApiKey.__table__.c
secrets = ApiKeySecret.__table__.c
_LIMIT_COLUMNS: list[ColumnElement[Any]] = [keys.create_rate, keys.poll_rate, keys.max_active, keys.max_queued]
_KEY_COLUMNS: list[ColumnElement[Any]] = [
    keys.id,
    keys.name,
    keys.scopes,
    keys.created_at,
    keys.expires_at,
    keys.revoked_at,
    keys.last_used_at,
    *_LIMIT_COLUMNS,
    func.coalesce(keys.expires_at <= func.now(), False).label("expired"),
]
# What authentication asks for. A secret may end before its key does.
_ends_at = func.least(keys.expires_at, secrets.expires_at)
_FOUND_COLUMNS: list[ColumnElement[Any]] = [
    keys.id,
    keys.scopes,
    *_LIMIT_COLUMNS,
    func.coalesce(_ends_at <= func.now(), False).label("expired"),
]

LAST_USED_GRAIN = 60.0
"""Seconds between two updates of one key's `last_used_at`: it must not cost a write for each request."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key as an administrator sees it. The secret itself is stored nowhere."""

    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    overrides: Overrides
    expired: bool

    @property
    def state(self) -> str:
        """`active`, `revoked` or `expired`, by the database's clock."""
        return "revoked" if self.revoked_at else "expired" if self.expired else "active"


@dataclass(frozen=True, slots=True)
class FoundKey:
    """What authentication needs to know of the key that a secret belongs to."""

    id: UUID
    scopes: frozenset[str]
    overrides: Overrides
    expired: bool


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(
        row.id,
        row.name,
        row.scopes,
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.last_used_at,
        _overrides(row),
        row.expired,
    )


def _overrides(row: Row[Any]) -> Overrides:
    create, poll = (parse_rate(text) if text else None for text in (row.create_rate, row.poll_rate))
    return Overrides(create, poll, row.max_active, row.max_queued)


def add(
    connection: Connection,
    key_id: UUID,
    name: str,
    scopes: Sequence[str],
    lifetime: float | None,
    *,
    overrides: Overrides | None = None,
) -> KeyRecord:
    """Insert a key that expires after `lifetime` seconds, or never."""
    expires_at = from_now(lifetime) if lifetime is not None else None
    own = (overrides or Overrides()).values()
    statement = insert(ApiKey).values(id=key_id, name=name, scopes=list(scopes), expires_at=expires_at, **own)
    return _record(connection.execute(statement.returning(*_KEY_COLUMNS)).one())


def add_secret(connection: Connection, key_id: UUID, digest: bytes, hint: str) -> None:
    """Give the key one more secret, of which only the SHA-256 and a hint for people are kept."""
    connection.execute(insert(ApiKeySecret).values(digest=digest, api_key_id=key_id, hint=hint))


def retire_secrets(connection: Connection, key_id: UUID, *, overlap: float) -> None:
    """Let the key's present secrets end in `overlap` seconds, if they do not end earlier anyway."""
    ends_at = from_now(overlap)
    statement = (
        update(ApiKeySecret)
        .where(secrets.api_key_id == key_id, or_(secrets.expires_at.is_(None), secrets.expires_at > ends_at))
        .values(expires_at=ends_at)
    )
    connection.execute(statement)


def find(connection: Connection, digest: bytes) -> FoundKey | None:
    """The key that the secret belongs to; None if there is none, or if it was revoked."""
    statement = (
        select(*_FOUND_COLUMNS)
        .join(ApiKeySecret, secrets.api_key_id == keys.id)
        .where(secrets.digest == digest, keys.revoked_at.is_(None))
    )
    row = connection.execute(statement).one_or_none()
    return FoundKey(row.id, frozenset(row.scopes), _overrides(row), row.expired) if row else None


def touch(connection: Connection, key_id: UUID) -> None:
    """Note that the key was used, at most once in LAST_USED_GRAIN seconds."""
    stale = or_(keys.last_used_at.is_(None), keys.last_used_at < from_now(-LAST_USED_GRAIN))
    connection.execute(update(ApiKey).where(keys.id == key_id, stale).values(last_used_at=func.now()))


def get(connection: Connection, key_id: UUID) -> KeyRecord | None:
    """One key, also a revoked one."""
    row = connection.execute(select(*_KEY_COLUMNS).where(keys.id == key_id)).one_or_none()
    return _record(row) if row else None


def every(connection: Connection) -> list[KeyRecord]:
    """All keys, oldest first, revoked ones too."""
    return [_record(row) for row in connection.execute(select(*_KEY_COLUMNS).order_by(keys.created_at, keys.id))]


def revoke(connection: Connection, key_id: UUID) -> bool:
    """End the key for good; False if there is no such key, or if it was revoked before."""
    statement = update(ApiKey).where(keys.id == key_id, keys.revoked_at.is_(None)).values(revoked_at=func.now())
    return connection.execute(statement).rowcount == 1


def limit(connection: Connection, key_id: UUID, overrides: Overrides, *, keep: bool) -> KeyRecord | None:
    """Set the key's own limits; `keep` those that are None here. None if there is no such key that is in use."""
    values = {name: value for name, value in overrides.values().items() if value is not None or not keep}
    statement = update(ApiKey).where(keys.id == key_id, keys.revoked_at.is_(None)).values(values)
    row = connection.execute(statement.returning(*_KEY_COLUMNS)).one_or_none()
    return _record(row) if row else None
