"""Issue, verify, rotate and revoke API keys."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection

from app.db import keys as db
from app.db import webhook_endpoints
from app.db.engine import Database
from app.domain.errors import ExpiredKeyError, InvalidKeyError, InvalidRequestError, NotFoundError
from app.domain.ids import new_id
from app.domain.rates import KeyLimits, Overrides
from app.domain.scopes import SCOPES
from app.domain.secrets import digest, new_key, well_formed
from app.domain.webhooks import DisabledReason

MAX_CACHED = 10_000
"""Verified keys that one process remembers."""
_REFRESH = 0.8
"""The part of its time in the cache after which a key is looked up again, by one request for all."""
_INVALID = "Send a valid API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`."
_NOT_IN_USE = "There is no such key that is in use. `simmer keys list` shows them."
_EXPIRED = "This API key has expired. Ask the administrator for a new one."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: the verified key."""

    api_key_id: UUID
    scopes: frozenset[str]
    limits: KeyLimits


@dataclass(slots=True)
class _Verified:
    """A caller, from when one request asks for it again, and until when it is trusted."""

    caller: Caller
    refresh_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class KeyService:
    """API keys, for the people who run Simmer, and their verification, for every request.

    `limits` are for keys for which nothing else was set.
    """

    database: Database
    cache_seconds: float
    limits: KeyLimits
    clock: Callable[[], float] = time.monotonic
    _verified: dict[bytes, _Verified] = field(default_factory=dict)

    def create(
        self, name: str, scopes: Sequence[str], lifetime: float | None = None, overrides: Overrides | None = None
    ) -> tuple[db.KeyRecord, str]:
        """A new key and its secret, which nobody can read again. `lifetime` in seconds; None for ever.

        Raises InvalidRequestError for a scope that does not exist.
        """
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            raise InvalidRequestError(f"Scopes are {', '.join(SCOPES)}; give one or more of them.")
        with self.database.transaction() as connection:
            record = db.add(connection, new_id(), name, scopes, lifetime, overrides=overrides)
            return record, _add_secret(connection, record.id)

    def every(self) -> list[db.KeyRecord]:
        """All keys, revoked ones too."""
        with self.database.transaction() as connection:
            return db.every(connection)

    def rotate(self, key_id: UUID, *, overlap: float) -> tuple[db.KeyRecord, str]:
        """A new secret for the key; the old ones stay good for `overlap` seconds. Raises NotFoundError."""
        with self.database.transaction() as connection:
            record = db.get(connection, key_id)
            if record is None or record.revoked_at:
                raise NotFoundError(_NOT_IN_USE)
            db.retire_secrets(connection, key_id, overlap=overlap)
            return record, _add_secret(connection, key_id)

    def limit(self, key_id: UUID, overrides: Overrides, *, keep: bool) -> db.KeyRecord:
        """Change the key's own limits, everywhere within `cache_seconds`: those that are given, and the others back to
        the settings' unless `keep`.

        Raises NotFoundError, and InvalidRequestError if there is nothing to change.
        """
        if keep and overrides == Overrides():
            raise InvalidRequestError("Name a limit to change, or ask for the defaults.")
        with self.database.transaction() as connection:
            record = db.limit(connection, key_id, overrides, keep=keep)
        if record is None:
            raise NotFoundError(_NOT_IN_USE)
        return record

    def revoke(self, key_id: UUID) -> None:
        """End the key, everywhere within `cache_seconds`, and its webhooks at once. Raises NotFoundError."""
        with self.database.transaction() as connection:
            if not db.revoke(connection, key_id):
                raise NotFoundError(_NOT_IN_USE)
            webhook_endpoints.disable_all(connection, key_id, DisabledReason.KEY_REVOKED)

    def verify(self, key: str) -> Caller:
        """Who this secret belongs to. Raises InvalidKeyError, ExpiredKeyError, and UnavailableError.

        It is found by its SHA-256, in the cache and in the index: how long that takes can tell of digests, from which
        there is no way back to a key.
        """
        wanted = digest(key)
        known = self._verified.get(wanted)
        now = self.clock()
        if known and now < known.refresh_at:
            return known.caller
        if not well_formed(key):
            raise InvalidKeyError(_INVALID)
        if known and now < known.expires_at:
            # Before the database answers: others go by what is known meanwhile, and do not all ask at once.
            known.refresh_at = known.expires_at
        caller = self._look_up(wanted)
        self._remember(wanted, caller, now)
        return caller

    def _look_up(self, wanted: bytes) -> Caller:
        with self.database.transaction() as connection:
            found = db.find(connection, wanted)
            if found is None:
                raise InvalidKeyError(_INVALID)
            if found.expired:
                raise ExpiredKeyError(_EXPIRED)
            db.touch(connection, found.id)
        return Caller(found.id, found.scopes, found.overrides.over(self.limits))

    def _remember(self, wanted: bytes, caller: Caller, asked_at: float) -> None:
        if len(self._verified) >= MAX_CACHED:
            self._verified.clear()
        refresh_at = asked_at + self.cache_seconds * _REFRESH
        self._verified[wanted] = _Verified(caller, refresh_at, asked_at + self.cache_seconds)


def _add_secret(connection: Connection, key_id: UUID) -> str:
    key = new_key()
    db.add_secret(connection, key_id, digest(key), key[-4:])
    return key
