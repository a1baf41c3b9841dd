"""A rate limiter whose clock is the test's, and that counts how often it asks Redis."""

from uuid import UUID

from app.adapters.breaker import Breaker
from app.adapters.rate_limiter import RedisRateLimiter
from app.adapters.redis_client import redis_client
from app.domain.rates import Bucket, Rate, Standing
from app.settings import Settings

LONG = 3600
PAUSE = 5.0


class Clock:
    """Monotonic seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched(RedisRateLimiter):
    """Counts how often Redis was asked; its breaker has the test's clock."""

    def __init__(self, url: str, clock: Clock, connections: int = 10) -> None:
        client = redis_client(Settings(broker_url=url), connections=connections)
        super().__init__(client, Breaker(PAUSE, clock), clock)
        self.asked = 0

    def _ask(self, name: str, rate: Rate, requests: int) -> Standing:
        self.asked += 1
        return super()._ask(name, rate, requests)


def allowed(limiter: RedisRateLimiter, key: UUID, rate: Rate, times: int, bucket: Bucket = "create") -> int:
    return sum(limiter.hit(bucket, key, rate).allowed for _ in range(times))
