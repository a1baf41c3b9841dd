"""kombu's Redis transport, with two of its ways changed. Importing this module changes them for the process."""

from kombu.transport.redis import Channel, Transport
from redis import Redis
from redis.exceptions import OutOfMemoryError


class _ThriftyChannel(Channel):
    """Publishes through one client, where kombu builds one for each command: a quarter of what publishing costs."""

    _publisher: Redis | None = None

    def _create_client(self, asynchronous: bool = False) -> Redis:
        if asynchronous:
            client: Redis = super()._create_client(asynchronous=True)
            return client
        # kombu replaces the pool when its connections broke, and after a fork.
        if self._publisher is None or self._publisher.connection_pool is not self.pool:
            self._publisher = super()._create_client()
        return self._publisher


Transport.Channel = _ThriftyChannel
# kombu takes the answer of a full broker for that to a wrong command, and a worker that meets it would exit.
Transport.connection_errors = (*Transport.connection_errors, OutOfMemoryError)
