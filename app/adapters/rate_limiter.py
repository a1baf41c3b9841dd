"""Counts requests against rates in Redis, for all processes together, with the scripts of the `limits` library."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from limits.storage import MemoryStorage, RedisStorage
from redis import Redis

from app.adapters.breaker import Breaker
from app.adapters.redis_client import TIMEOUT
from app.domain.rates import Bucket, Rate, Standing

log = logging.getLogger(__name__)

FRESH = 0.25
"""Seconds for which a process goes by what Redis said last, for a key that is far below its rate."""
NEAR = 100
"""Requests, or a tenth of the rate if that is more: with no more left than these each one is counted at once."""
MAX_CACHED = 10_000
"""Keys whose standing one process remembers."""

# The library's own two scripts, as one. Through its classes they would be two round trips, with the whole of their
# texts on the way each time.
_TAKE_AND_LOOK = f"""
local function take()
{RedisStorage.SCRIPT_ACQUIRE_SLIDING_WINDOW.decode()}
end
local seconds = ARGV[2]
local function look()
local ARGV = {{seconds}}
{RedisStorage.SCRIPT_SLIDING_WINDOW.decode()}
end
local taken = take()
return {{taken and 1 or 0, unpack(look(), 1, 4)}}
"""


@dataclass(slots=True)
class _Known:
    """Where a key stood when Redis was asked, and how many requests were let in since that it does not know of."""

    standing: Standing
    asked_at: float
    untold: int = 0

    def let_in(self, now: float) -> Standing | None:
        """Let one request in without asking; None if that would be too far from what others know."""
        age = now - self.asked_at
        margin = max(NEAR, self.standing.rate.count // 10)
        if age >= FRESH or not self.standing.allowed or self.standing.remaining - self.untold <= margin:
            return None
        self.untold += 1
        left = max(0.0, self.standing.left - age)
        known = self.standing
        # `dataclasses.replace` takes as long as all of this method.
        return Standing(known.rate, known.allowed, known.before, known.current + self.untold, left)


class RedisRateLimiter:
    """Far below its rate a key costs nothing: what it sends within FRESH seconds is counted at once, with the first
    request after them. Near it each request is counted. Until then each process may let in unseen what it gets in that
    time.

    While Redis does not answer each process counts for itself, at the same rates; no request fails for it.
    """

    def __init__(
        self, client: Redis, breaker: Breaker | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Count where `client` points to. It should be the limiter's own: nobody waits for others' commands then."""
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._take_and_look = client.register_script(_TAKE_AND_LOOK)
        self._breaker = breaker or Breaker()
        self._memory = MemoryStorage()
        self._turns = threading.BoundedSemaphore(client.connection_pool.max_connections)
        self._probe = threading.BoundedSemaphore(1)
        self._down = False

    @property
    def alone(self) -> bool:
        """Whether this process counts for itself, because Redis does not answer."""
        return self._down

    def hit(self, bucket: Bucket, api_key_id: UUID, rate: Rate) -> Standing:
        """Count a request if the rate allows it, and say where the key stands now.

        A Redis that is frozen is waited for TIMEOUT at most. After one that waited in vain nobody tries for the
        breaker's pause, and then one request alone.
        """
        # With the rate in its name: a key that is given another one starts anew.
        name = f"simmer:rate:{bucket}:{api_key_id.hex}:{rate.count}/{rate.seconds}"
        known, now = self._known.get(name), self._clock()
        if known and (standing := known.let_in(now)):
            return standing
        if known:
            # Before Redis answers: others go by what is known meanwhile, and do not all ask at once.
            known.asked_at = now
        return self._count(name, rate, known, now) or self._hit_local(name, rate)

    def _count(self, name: str, rate: Rate, known: _Known | None, now: float) -> Standing | None:
        """Count this request, and those that were let in before; None if Redis does not answer."""
        untold = known.untold if known else 0
        standing = self._hit_shared(name, rate, 1 + untold)
        if standing and untold and not standing.allowed:
            # Others have used up the rate. What was let in was let in: this one is looked at by itself.
            standing = self._hit_shared(name, rate, 1)
        if standing is None:
            self._known.pop(name, None)
            return None
        if len(self._known) >= MAX_CACHED:
            self._known.clear()
        self._known[name] = _Known(standing, now, known.untold - untold if known else 0)
        return standing

    def _hit_shared(self, name: str, rate: Rate, requests: int) -> Standing | None:
        """None if Redis does not answer, or is not worth asking."""
        turns, patience = (self._probe, 0.0) if self._down else (self._turns, TIMEOUT)
        if not turns.acquire(timeout=patience):
            return None
        try:
            # Looked at again: whoever had the turn before may have waited in vain.
            return self._ask(name, rate, requests) if self._breaker.closed else None
        except Exception as error:  # noqa: BLE001 - counting must not fail the request that is counted
            self._give_up(error)
            return None
        finally:
            turns.release()

    def _ask(self, name: str, rate: Rate, requests: int) -> Standing:
        found = self._take_and_look([f"{name}:before", name], [rate.count, rate.seconds, requests])
        taken, before, _, current, expires_in = found
        if self._down:
            self._down = False
            log.info("broker available, rates are shared by all processes again")
        return _standing(rate, bool(taken), int(before or 0), int(current or 0), expires_in / 1000)

    def _give_up(self, error: Exception) -> None:
        # Those who waited at the same time say nothing more.
        if self._breaker.closed:
            log.warning("broker unavailable, each process counts requests for itself: %s", type(error).__name__)
        self._breaker.trip()
        self._down = True

    def _hit_local(self, name: str, rate: Rate) -> Standing:
        taken = self._memory.acquire_sliding_window_entry(name, rate.count, rate.seconds)
        before, _, current, expires_in = self._memory.get_sliding_window(name, rate.seconds)
        return _standing(rate, taken, before, current, expires_in)


def _standing(rate: Rate, allowed: bool, before: int, current: int, expires_in: float) -> Standing:
    # A counter lives on for another window, as the one before.
    return Standing(rate, allowed, before, current, max(0.0, expires_in - rate.seconds))
