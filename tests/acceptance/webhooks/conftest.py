"""A Simmer that delivers webhooks to this machine."""

from collections.abc import Iterator

import pytest

from tests.acceptance.webhooks.site import Site
from tests.cluster import Cluster, environment
from tests.conftest import fresh_broker, fresh_database, write_models
from tests.upstream.client import MockUpstream
from tests.webhook_receiver import Receiver

NETWORKS = {"SIMMER_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "SIMMER_WEBHOOK_TIMEOUT": "5"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Of one test."""
    with Receiver() as made:
        yield made


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str, upstream_server: MockUpstream
) -> Iterator[Site]:
    """Shared by the tests of a module, which neither kill nor configure anything."""
    folder = tmp_path_factory.mktemp("webhooks")
    with fresh_database(postgres) as database_url, Receiver() as made:
        env = environment(database_url, fresh_broker(valkey), write_models(folder, upstream_server), **NETWORKS)
        with Cluster(folder, env) as cluster:
            cluster.worker()
            cluster.system()
            cluster.webhooks()
            yield Site(cluster, cluster.api(), made)


@pytest.fixture
def own_site(cluster: Cluster, receiver: Receiver) -> Site:
    """One whose workers a test starts itself."""
    own = Cluster(cluster.folder, {**cluster.env, **NETWORKS}, _started=cluster._started)
    return Site(own, own.api(), receiver)
