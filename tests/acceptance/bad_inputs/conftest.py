"""One API without workers for all bad inputs: what they leave behind is easily seen where nothing else happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.container import Container
from app.settings import Settings
from app.stack.valkey import EmbeddedValkey
from tests.acceptance.bad_inputs.site import SCOPES, Site
from tests.cluster import Cluster, environment
from tests.conftest import fresh_database, write_models
from tests.embedded import Server
from tests.processes import free_port
from tests.upstream.client import MockUpstream


@pytest.fixture(scope="session")
def quiet_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey on which no worker listens and that no test flushes."""
    folder = tmp_path_factory.mktemp("quiet")
    with Server(EmbeddedValkey(folder, free_port()), folder / "log") as server:
        yield server.url


@pytest.fixture(scope="session")
def named_models(tmp_path_factory: pytest.TempPathFactory, upstream_server: MockUpstream) -> Path:
    """A models file without a pattern for every name."""
    path = write_models(tmp_path_factory.mktemp("models"), upstream_server)
    path.write_text(path.read_text().replace('"*"', '"gpt-*"'))
    return path


@pytest.fixture(scope="session")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, quiet_valkey: str, named_models: Path
) -> Iterator[Site]:
    """An API as it is by default."""
    folder = tmp_path_factory.mktemp("site")
    with running(folder, postgres, quiet_valkey, named_models) as made:
        yield made


@contextmanager
def running(folder: Path, postgres: str, valkey: str, models: Path, **settings: str) -> Iterator[Site]:
    """An API with a database of its own."""
    with fresh_database(postgres) as database_url:
        container = Container(Settings(database_url=database_url, broker_url=valkey, models=models))
        key = container.keys.create("site", SCOPES)[1]
        with Cluster(folder, environment(database_url, valkey, models, **settings)) as cluster:
            yield Site(cluster.api(), container, key, folder / "api.log")
        container.database.close()
