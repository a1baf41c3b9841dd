"""For the operator: which encryption keys the stored jobs and webhook secrets need, and sealing all of them under the
current one.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection

from app.db import resealing as db
from app.db.engine import Database
from app.domain.errors import ConfigurationError
from app.domain.ports import Sealer

SCAN = 1000
"""Rows that one statement looks at."""
BATCH = 20
"""Jobs that one transaction seals anew: they are locked meanwhile, and may have tens of megabytes each."""
PASSES = 3
"""How often all jobs are gone through, for the sake of those that somebody was just writing."""
PAUSE = 1.0
"""Seconds between two passes."""


class KeysInUse(Protocol):
    """Reads a table of what is sealed, by its ids."""

    def __call__(self, connection: Connection, after: UUID | None, *, limit: int) -> list[tuple[UUID, frozenset[str]]]:
        """The next rows, with the ids of the keys that they need."""
        ...


Reseal = Callable[[Connection, Sequence[UUID]], int]
"""Seals these rows anew; returns how many it could."""


class KeyState(StrEnum):
    """What a key is to this process."""

    CURRENT = "current"
    OLD = "old"
    MISSING = "missing"
    NO_KEY = "not encrypted"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How many stored jobs and webhook secrets it takes this key to read. NO_KEY has no id, and counts those that are
    not wholly sealed.
    """

    key_id: str | None
    state: KeyState
    jobs: int
    secrets: int = 0


@dataclass(frozen=True, slots=True)
class EncryptionService:
    """Works in small transactions, beside all that runs; killed at any time, it goes on when it is run again."""

    database: Database
    sealer: Sealer

    def status(self) -> list[KeyUse]:
        """What each key is needed for, also keys that this process does not have."""
        jobs, secrets = (
            Counter(key_id for _, key_ids in self._all(keys_in_use) for key_id in key_ids)
            for keys_in_use in (db.keys_in_use, db.secret_keys_in_use)
        )
        ids = sorted({db.PLAIN, *self.sealer.key_ids, *jobs, *secrets})
        return [KeyUse(key_id or None, self._state(key_id), jobs[key_id], secrets[key_id]) for key_id in ids]

    def rotate(self) -> int:
        """Seal all under the current key, or nothing any more if there is no such key; return how many rows it were.

        What can't be opened stays as it is. What other processes write meanwhile is sealed with their keys.
        Raises ConfigurationError if there are no keys at all.
        """
        if not self.sealer.key_ids:
            raise ConfigurationError("Set SIMMER_ENCRYPTION_KEYS first. `simmer encryption new-key` makes a key.")
        done = 0
        for turn in range(PASSES):
            time.sleep(PAUSE if turn else 0)
            passes = [self._pass(db.keys_in_use, db.reseal), self._pass(db.secret_keys_in_use, db.reseal_secrets)]
            done += sum(resealed for _, resealed in passes)
            if all(resealed == stale for stale, resealed in passes):
                break
        return done

    def _state(self, key_id: str) -> KeyState:
        if key_id == db.PLAIN:
            return KeyState.NO_KEY
        if key_id == self.sealer.current:
            return KeyState.CURRENT
        return KeyState.OLD if key_id in self.sealer.key_ids else KeyState.MISSING

    def _pass(self, keys_in_use: KeysInUse, reseal: Reseal) -> tuple[int, int]:
        """How many rows were under another key, and how many of these were sealed anew."""
        found = resealed = 0
        stale = self._stale(keys_in_use)
        while batch := list(islice(stale, BATCH)):
            with self.database.transaction() as connection:
                resealed += reseal(connection, batch)
            found += len(batch)
        return found, resealed

    def _stale(self, keys_in_use: KeysInUse) -> Iterator[UUID]:
        """The rows that are not under the current key, of those that open."""
        wanted = {self.sealer.current or db.PLAIN}
        usable = {db.PLAIN, *self.sealer.key_ids}
        return (row for row, key_ids in self._all(keys_in_use) if not key_ids <= wanted and key_ids <= usable)

    def _all(self, keys_in_use: KeysInUse) -> Iterator[tuple[UUID, frozenset[str]]]:
        last: UUID | None = None
        while True:
            with self.database.transaction() as connection:
                found = keys_in_use(connection, last, limit=SCAN)
            yield from found
            if len(found) < SCAN:
                return
            last = found[-1][0]
