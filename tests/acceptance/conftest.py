"""A cluster of real processes for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.container import Container
from tests.cluster import Client, Cluster, environment


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
    return container.keys.create("acceptance", ["responses:read", "responses:write"])[1]


@pytest.fixture
def client(cluster: Cluster, key: str) -> Client:
    """A client of an API that runs."""
    return Client(cluster.api(), key)
