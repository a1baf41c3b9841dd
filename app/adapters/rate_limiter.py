"""Counts requests against rates in Redis, for all processes together, with the scripts of the `limits` library."""

import logging
import threading
from uuid import UUID

from limits.storage import MemoryStorage, RedisStorage
from redis import Redis

from app.adapters.breaker import Breaker
from app.adapters.redis_client import TIMEOUT
from app.domain.rates import Bucket, Rate, Standing

log = logging.getLogger(__name__)

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


class RedisRateLimiter:
    """While Redis does not answer each process counts for itself, at the same rates; no request fails for it."""

    def __init__(self, client: Redis, breaker: Breaker | None = None) -> None:
        """Count where `client` points to. It should be the limiter's own: nobody waits for others' commands then."""
        self._take_and_look = client.register_script(_TAKE_AND_LOOK)
        self._breaker = breaker or Breaker()
        self._memory = MemoryStorage()
        self._turns = threading.BoundedSemaphore(client.connection_pool.max_connections)
        self._probe = threading.BoundedSemaphore(1)
        self._down = False

    def hit(self, bucket: Bucket, api_key_id: UUID, rate: Rate) -> Standing:
        """Count a request if the rate allows it, and say where the key stands now.

        A Redis that is frozen is waited for TIMEOUT at most. After one that waited in vain nobody tries for the
        breaker's pause, and then one request alone.
        """
        # With the rate in its name: a key that is given another one starts anew.
        name = f"simmer:rate:{bucket}:{api_key_id.hex}:{rate.count}/{rate.seconds}"
        return self._hit_shared(name, rate) or self._hit_local(name, rate)

    def _hit_shared(self, name: str, rate: Rate) -> Standing | None:
        """None if Redis does not answer, or is not worth asking."""
        turns, patience = (self._probe, 0.0) if self._down else (self._turns, TIMEOUT)
        if not turns.acquire(timeout=patience):
            return None
        try:
            # Looked at again: whoever had the turn before may have waited in vain.
            return self._ask(name, rate) if self._breaker.closed else None
        except Exception as error:  # noqa: BLE001 - counting must not fail the request that is counted
            self._give_up(error)
            return None
        finally:
            turns.release()

    def _ask(self, name: str, rate: Rate) -> Standing:
        found = self._take_and_look([f"{name}:before", name], [rate.count, rate.seconds, 1])
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
