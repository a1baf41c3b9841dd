"""Whether one more job may come in: how many a key may have under way, and how many may wait in all."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection

from app.db import submission as db
from app.db.engine import Database
from app.domain.errors import OverloadedError, RateLimitedError
from app.domain.rates import KeyLimits
from app.services.keys import Caller
from app.settings import Settings

KEY_COUNT_AGE = 1.0
"""Seconds for which a count of a key's jobs is good, or longer if it was a long one."""
TOTAL_COUNT_AGE = 5.0
"""The same of all queued jobs."""
CAP_RETRY_AFTER = 5
"""Seconds after which a key at its cap may ask again: some job of its own ends sooner or later."""
OVERLOAD_RETRY_AFTER = 30
"""Seconds after which clients may ask again when everybody's jobs pile up."""

MAX_CACHED = 10_000
"""Keys whose counts one process remembers."""
_NEAR = 100
_CHEAP = 1000
_ROWS_PER_SECOND = 100_000


@dataclass(slots=True)
class _Tally:
    """What was counted when, and how many this process has let in since."""

    counts: tuple[int, ...]
    counted_at: float
    added: int = 0

    def now(self) -> tuple[int, ...]:
        return tuple(count + self.added for count in self.counts)

    def good(self, caps: tuple[int, ...], max_age: float, now: float) -> bool:
        """Far below the caps for `max_age`; near them for no time, if counting is cheap.

        A hundred thousand rows take the database 20 ms: so many are counted once a second at most, a million every ten
        seconds, even at the cap, where each refusal would ask for it.
        """
        near = any(cap - count <= max(_NEAR, cap // 10) for cap, count in zip(caps, self.now(), strict=True))
        rows = max(self.counts)
        rest = 0.0 if rows < _CHEAP else rows / _ROWS_PER_SECOND
        return now - self.counted_at < (rest if near else max(max_age, rest))


@dataclass(frozen=True, slots=True)
class AdmissionService:
    """Counts in the database, but rarely: far below the caps a request costs nothing.

    A cap can be overshot by the requests that are in flight at the same instant: each counts before another's job is
    inserted. Requests that come one after the other, to whichever processes, meet a cap of up to a hundred exactly.
    Beyond, each other process may let in unseen what it gets in a second; for the queue of all in five, or in ten if
    a million wait.
    """

    database: Database
    settings: Settings
    clock: Callable[[], float] = time.monotonic
    _tallies: dict[UUID | None, _Tally] = field(default_factory=dict)

    def admit(self, caller: Caller) -> None:
        """Let one more job of the caller in; call this only for a job that is to be inserted then.

        Raises RateLimitedError at a cap of the key, OverloadedError when too many jobs wait in all, and
        UnavailableError.
        """
        limits = caller.limits
        own = self._tally(
            caller.api_key_id,
            (limits.max_active, limits.max_queued),
            KEY_COUNT_AGE,
            lambda connection: db.count_active(connection, caller.api_key_id, limits.max_active),
        )
        _check_key(own.now(), limits)
        cap = self.settings.max_queued_total
        total = self._tally(None, (cap,), TOTAL_COUNT_AGE, lambda connection: (db.count_queued(connection, cap),))
        if total.now()[0] >= cap:
            raise OverloadedError(
                "Too many responses are queued already. Wait as long as Retry-After says, then try again.",
                retry_after=OVERLOAD_RETRY_AFTER,
            )
        own.added += 1
        total.added += 1

    def _tally(
        self,
        whose: UUID | None,
        caps: tuple[int, ...],
        max_age: float,
        count: Callable[[Connection], tuple[int, ...]],
    ) -> _Tally:
        known = self._tallies.get(whose)
        now = self.clock()
        if known and known.good(caps, max_age, now):
            return known
        if known:
            # Before the database answers: others go by the old count meanwhile, and do not all ask at once.
            known.counted_at = now
        elif len(self._tallies) >= MAX_CACHED:
            self._tallies.clear()
        with self.database.autocommit() as connection:
            counted = _Tally(count(connection), now)
        self._tallies[whose] = counted
        return counted


def _check_key(counts: tuple[int, ...], limits: KeyLimits) -> None:
    active, queued = counts
    if active >= limits.max_active:
        raise RateLimitedError(
            f"This API key may have {limits.max_active} responses queued or in progress. Wait for one to end, "
            "or cancel one.",
            code="concurrency_limit_exceeded",
            retry_after=CAP_RETRY_AFTER,
        )
    if queued >= limits.max_queued:
        raise RateLimitedError(
            f"This API key may have {limits.max_queued} responses queued. Wait for one to be started, or cancel one.",
            code="queue_limit_exceeded",
            retry_after=CAP_RETRY_AFTER,
        )
