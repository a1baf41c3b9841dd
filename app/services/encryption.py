"""For the operator: which encryption keys the stored jobs need, and sealing all of them under the current one."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from uuid import UUID

from app.db import resealing as db
from app.db.engine import Database
from app.domain.errors import ConfigurationError
from app.domain.ports import Sealer

SCAN = 1000
"""Jobs that one statement looks at."""
BATCH = 20
"""Jobs that one transaction seals anew: they are locked meanwhile, and may have tens of megabytes each."""
PASSES = 3
"""How often all jobs are gone through, for the sake of those that somebody was just writing."""
PAUSE = 1.0
"""Seconds between two passes."""


class KeyState(StrEnum):
    """What a key is to this process."""

    CURRENT = "current"
    OLD = "old"
    MISSING = "missing"
    NO_KEY = "not encrypted"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How many stored jobs it takes this key to read. NO_KEY has no id, and counts those that are not wholly sealed."""

    key_id: str | None
    state: KeyState
    jobs: int


@dataclass(frozen=True, slots=True)
class EncryptionService:
    """Works in small transactions, beside all that runs; killed at any time, it goes on when it is run again."""

    database: Database
    sealer: Sealer

    def status(self) -> list[KeyUse]:
        """What each key is needed for, also keys that this process does not have."""
        counts = Counter(key_id for _, key_ids in self._jobs() for key_id in key_ids)
        ids = sorted({db.PLAIN, *self.sealer.key_ids, *counts})
        return [KeyUse(key_id or None, self._state(key_id), counts[key_id]) for key_id in ids]

    def rotate(self) -> int:
        """Seal every job under the current key, or none any more if there is no such key; return how many it were.

        What can't be opened stays as it is. Jobs that other processes write meanwhile are sealed with their keys.
        Raises ConfigurationError if there are no keys at all.
        """
        if not self.sealer.key_ids:
            raise ConfigurationError("Set SIMMER_ENCRYPTION_KEYS first. `simmer encryption new-key` makes a key.")
        done = 0
        for turn in range(PASSES):
            time.sleep(PAUSE if turn else 0)
            stale, resealed = self._pass()
            done += resealed
            if resealed == stale:
                break
        return done

    def _state(self, key_id: str) -> KeyState:
        if key_id == db.PLAIN:
            return KeyState.NO_KEY
        if key_id == self.sealer.current:
            return KeyState.CURRENT
        return KeyState.OLD if key_id in self.sealer.key_ids else KeyState.MISSING

    def _pass(self) -> tuple[int, int]:
        """How many jobs were under another key, and how many of these were sealed anew."""
        found = resealed = 0
        stale = self._stale()
        while batch := list(islice(stale, BATCH)):
            with self.database.transaction() as connection:
                resealed += db.reseal(connection, batch)
            found += len(batch)
        return found, resealed

    def _stale(self) -> Iterator[UUID]:
        """The jobs that are not under the current key, of those that open."""
        wanted = {self.sealer.current or db.PLAIN}
        usable = {db.PLAIN, *self.sealer.key_ids}
        return (job_id for job_id, key_ids in self._jobs() if not key_ids <= wanted and key_ids <= usable)

    def _jobs(self) -> Iterator[tuple[UUID, frozenset[str]]]:
        last: UUID | None = None
        while True:
            with self.database.transaction() as connection:
                found = db.keys_in_use(connection, last, limit=SCAN)
            yield from found
            if len(found) < SCAN:
                return
            last = found[-1][0]
