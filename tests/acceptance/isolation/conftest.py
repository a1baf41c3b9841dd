"""One API of two processes for all tests of isolation, and no worker: nothing moves a job but the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.container import Container
from app.settings import Settings
from tests.acceptance.bad_inputs.conftest import named_models, quiet_valkey
from tests.acceptance.bad_inputs.site import SCOPES, Site
from tests.cluster import Cluster, environment
from tests.conftest import fresh_database

__all__ = ["named_models", "quiet_valkey", "site"]

PROCESSES = 2


@pytest.fixture(scope="session")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, quiet_valkey: str, named_models: Path
) -> Iterator[Site]:
    """An API whose processes share nothing but the database and the broker."""
    folder = tmp_path_factory.mktemp("isolation")
    with fresh_database(postgres) as database_url:
        container = Container(Settings(database_url=database_url, broker_url=quiet_valkey, models=named_models))
        key = container.keys.create("site", SCOPES)[1]
        with Cluster(folder, environment(database_url, quiet_valkey, named_models)) as cluster:
            yield Site(cluster.api(PROCESSES), container, key, folder / "api.log")
        container.database.close()
