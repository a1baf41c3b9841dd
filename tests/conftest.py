"""Fixtures every test may use: one real Postgres and one real Valkey for the run, fresh state in each for a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from app.container import Container
from app.db.engine import Database
from app.db.migrate import upgrade
from app.settings import Settings
from tests.browser.chromium import pytest_configure  # noqa: F401
from tests.databases import drop
from tests.embedded import RoomyValkey, Server, UnsyncedPostgres
from tests.processes import free_port
from tests.upstream.client import MockUpstream

_TEMPLATE = "simmer_template"
_numbers = count(1)


EXTENDED = {
    "acceptance/isolation/test_traffic.py",
    "acceptance/test_capacity.py",
    "acceptance/test_rolling_restart.py",
    "acceptance/test_schemathesis.py",
    "acceptance/test_upgrade_under_load.py",
    "faults/test_soak.py",
    "integration/test_celery_nodes.py",
}
"""What takes longest for what it shows: loads, and searches at random."""
FIRST = ("faults/", "integration/stack/", "integration/workers/")
"""Files of minutes, mostly spent waiting: at the end one process would be left alone with such a one."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the extended ones, before `-m` looks, and begin with the long ones."""
    for item in items:
        if _place(item) in EXTENDED:
            item.add_marker(pytest.mark.extended)
    items.sort(key=lambda item: not _place(item).startswith(FIRST))


def _place(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).as_posix()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running PostgreSQL; its database `simmer_template` is migrated."""
    folder = tmp_path_factory.mktemp("postgres")
    with Server(UnsyncedPostgres(folder, free_port()), folder / "log") as server:
        url = server.url
        _admin(url, "CREATE DATABASE {}", _TEMPLATE)
        database = Database(Settings(database_url=_sibling(url, _TEMPLATE)))
        upgrade(database, timeout=10)
        database.close()
        yield url


@pytest.fixture
def empty_database_url(postgres: str) -> Iterator[str]:
    """A database with nothing in it."""
    with fresh_database(postgres, "template1") as url:
        yield url


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    """A migrated database without rows."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running Valkey, its database 0."""
    folder = tmp_path_factory.mktemp("valkey")
    with Server(RoomyValkey(folder, free_port()), folder / "log") as server:
        yield server.url


@pytest.fixture
def broker_url(valkey: str) -> str:
    """An empty database of the broker."""
    return fresh_broker(valkey)


@pytest.fixture(scope="session")
def upstream_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockUpstream]:
    """The scriptable model server."""
    with MockUpstream(tmp_path_factory.mktemp("upstream")) as server:
        yield server


@pytest.fixture
def upstream(upstream_server: MockUpstream) -> MockUpstream:
    """The scriptable model server, in no special mode, all gates closed. Calls of earlier tests are still on record."""
    upstream_server.clear_mode()
    upstream_server.close_gates()
    return upstream_server


@pytest.fixture
def models_file(tmp_path: Path, upstream: MockUpstream) -> Path:
    """Every model on the mock; `quick` has limits of 1 s and 2 s, `once` one attempt;
    `responses-*` speak the other protocol.
    """
    return write_models(tmp_path, upstream)


@pytest.fixture
def settings(database_url: str, broker_url: str, models_file: Path) -> Settings:
    """Settings for this test's own database, broker database and models."""
    return Settings(database_url=database_url, broker_url=broker_url, models=models_file)


@pytest.fixture
def container(settings: Settings) -> Iterator[Container]:
    """The parts of one process, as the API would have them."""
    made = Container(settings)
    yield made
    made.database.close()


@pytest.fixture
def api_key_id(container: Container) -> UUID:
    """A key that may own jobs."""
    return container.keys.create("test", ["responses:read", "responses:write"])[0].id


def fresh_broker(valkey: str) -> str:
    """A database of the broker that nobody else has; 0 belongs to what is shared for the whole run."""
    return f"{valkey.rpartition('/')[0]}/{next(_numbers)}"


def write_models(folder: Path, upstream: MockUpstream) -> Path:
    """A models file: every model on the mock; `quick` has limits of 1 s and 2 s, `once` one attempt;
    `responses-*` speak the other protocol.
    """
    path = folder / "models.toml"
    path.write_text(
        f"""
        [upstreams.mock]
        base_url = "{upstream.base_url}"
        [upstreams.responses]
        base_url = "{upstream.base_url}"
        protocol = "responses"
        [models."*"]
        upstream = "mock"
        [models.quick]
        upstream = "mock"
        soft_time_limit = 1
        time_limit = 2
        [models.once]
        upstream = "mock"
        max_attempts = 1
        [models."responses-*"]
        upstream = "responses"
        hosted_tools = ["web_search"]
        """
    )
    return path


@contextmanager
def fresh_database(postgres: str, template: str = _TEMPLATE) -> Iterator[str]:
    """A database of its own for the block; migrated and without rows unless another template is named."""
    name = f"test_{next(_numbers)}"
    _admin(postgres, f"CREATE DATABASE {{}} TEMPLATE {template}", name)
    yield _sibling(postgres, name)
    with psycopg.connect(postgres, autocommit=True) as admin:
        drop(admin, name)


def _sibling(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _admin(url: str, statement: str, database: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(database)))
