"""A cluster of real processes: one that the tests share, and one for each test that needs its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.container import Container
from app.settings import Settings
from tests.cluster import Client, Cluster, environment
from tests.conftest import fresh_database, write_models
from tests.dns_server import DnsServer
from tests.upstream.client import MockUpstream

SCOPES = ["responses:read", "responses:write"]


@pytest.fixture
def cluster(tmp_path: Path, database_url: str, broker_url: str, models_file: Path) -> Iterator[Cluster]:
    """Nothing started yet: a test starts what it needs."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    with Cluster(folder, environment(database_url, broker_url, models_file)) as made:
        yield made


@pytest.fixture
def key(container: Container) -> str:
    """A fresh API key."""
    return container.keys.create("acceptance", SCOPES)[1]


@pytest.fixture
def client(cluster: Cluster, key: str) -> Client:
    """A client of an API that runs."""
    return Client(cluster.api(), key)


@pytest.fixture(scope="session")
def shared(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str, upstream_server: MockUpstream
) -> Iterator[Client]:
    """A client of a whole Simmer that all tests share which neither kill nor configure anything."""
    folder = tmp_path_factory.mktemp("shared")
    with fresh_database(postgres) as database_url, DnsServer() as dns:
        # The host of the examples' webhooks, which nobody delivers here.
        dns.answer("example.com", ["192.88.98.1"])
        models = write_models(folder, upstream_server)
        # It stays until the process of tests ends, and nothing gets lost in it: sweeps are seldom, to leave the cores
        # to others.
        settings = {
            "SIMMER_WEBHOOK_NAMESERVERS": dns.address,
            "SIMMER_SWEEP_INTERVAL": "20",
            "SIMMER_PURGE_INTERVAL": "20",
        }
        with Cluster(folder, environment(database_url, valkey, models, **settings)) as made:
            made.worker()
            made.system()
            key = Container(Settings(database_url=database_url)).keys.create("shared", SCOPES)[1]
            yield Client(made.api(), key)
