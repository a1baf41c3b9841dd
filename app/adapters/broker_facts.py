"""What the broker's Redis or Valkey says of itself: its clock, its memory, and how full the queues are."""

from dataclasses import dataclass
from typing import Any

from redis import AuthenticationError, ConnectionPool, Redis, RedisError

from app.domain.errors import ConfigurationError, UnavailableError
from app.settings import Settings

PATIENCE = 2.0
"""Seconds that one command, and one new connection, may take."""


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """`now` is its clock, in Unix seconds; `max_memory` 0 is no limit."""

    now: float
    version: str
    policy: str
    used_memory: int
    max_memory: int
    maxclients: int
    clients: int


class BrokerInspector:
    """One connection, for the one who looks."""

    def __init__(self, settings: Settings) -> None:
        """Connect lazily."""
        settings.require("broker_url")
        pool = ConnectionPool.from_url(
            settings.broker_url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, protocol=2
        )
        self._redis = Redis(connection_pool=pool)

    def facts(self) -> BrokerFacts:
        """Raises UnavailableError if it does not answer, ConfigurationError if it does not let us in."""
        try:
            seconds, microseconds = self._redis.time()
            info: Any = self._redis.info()
        except AuthenticationError:
            raise ConfigurationError("The broker refuses the user or the password of SIMMER_BROKER_URL.") from None
        except (RedisError, OSError) as error:
            refused = "NOAUTH" in str(error) or "NOPERM" in str(error)
            if refused:
                raise ConfigurationError("The broker refuses the user or the password of SIMMER_BROKER_URL.") from None
            raise UnavailableError("The broker does not answer. Check that it runs.") from error
        return BrokerFacts(
            now=seconds + microseconds / 1e6,
            version=str(info.get("valkey_version") or info.get("redis_version", "?")),
            policy=str(info.get("maxmemory_policy", "?")),
            used_memory=int(info.get("used_memory", 0)),
            max_memory=int(info.get("maxmemory", 0)),
            maxclients=int(info.get("maxclients", 0)),
            clients=int(info.get("connected_clients", 0)),
        )

    def backlogs(self, queues: tuple[str, ...]) -> dict[str, int]:
        """Messages that wait in each queue. Raises UnavailableError."""
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for queue in queues:
                pipeline.llen(queue)
            return dict(zip(queues, pipeline.execute(), strict=True))
        except (RedisError, OSError) as error:
            raise UnavailableError("The broker does not answer. Check that it runs.") from error
