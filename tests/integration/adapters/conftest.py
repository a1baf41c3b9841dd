"""A client of a real Valkey as the processes have it, and a server of a test's own to freeze and to kill."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from app.adapters.doorbell import RedisDoorbell
from app.adapters.redis_client import redis_client
from app.settings import Settings
from app.stack.valkey import EmbeddedValkey
from tests.doorbells import process_doorbell
from tests.embedded import Server
from tests.processes import free_port


@pytest.fixture
def client(broker_url: str) -> Iterator[Redis]:
    made = redis_client(Settings(broker_url=broker_url))
    yield made
    made.connection_pool.disconnect()


@pytest.fixture
def process() -> Iterator[Callable[[str], RedisDoorbell]]:
    """Gives the doorbell of one more process at a broker's URL."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(process_doorbell(url))


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop."""
    with Server(EmbeddedValkey(tmp_path, free_port()), tmp_path / "valkey.log") as server:
        yield server
