"""Connections to the broker's Redis or Valkey for what Celery does not carry: events, doorbell, rate limits."""

from redis import BlockingConnectionPool, Redis

from app.settings import Settings

TIMEOUT = 0.5
"""Seconds that one command, and one new connection, may take: nobody waits for a broker that is down."""


def redis_client(settings: Settings, *, connections: int = 10) -> Redis:
    """A client with a pool of its own. A command waits up to TIMEOUT for a free connection, and is never repeated."""
    pool = BlockingConnectionPool.from_url(
        settings.broker_url,
        max_connections=connections,
        timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        # Pub/sub is read by hand: RESP3 would mix its messages in with the replies.
        protocol=2,
        health_check_interval=30,
    )
    return Redis(connection_pool=pool)
