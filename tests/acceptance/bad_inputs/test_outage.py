"""Without Postgres there is a clear answer on every route, and none without a key that can be checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from app.domain.secrets import new_key
from tests.acceptance.bad_inputs.conftest import running
from tests.acceptance.bad_inputs.dialects import FREDDY
from tests.acceptance.bad_inputs.raw import Reply
from tests.acceptance.bad_inputs.routes import ROUTES, good_body
from tests.acceptance.bad_inputs.site import CANARY, Site

UNAVAILABLE = (503, "server_error", "unavailable", None)
INVALID_KEY = (401, "authentication_error", "invalid_api_key", None)


@pytest.fixture
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, quiet_valkey: str, named_models: Path
) -> Iterator[Site]:
    """An API whose database nobody else needs."""
    with running(tmp_path_factory.mktemp("outage"), postgres, quiet_valkey, named_models) as made:
        yield made


@contextmanager
def without_database(postgres: str, site: Site) -> Iterator[None]:
    """The site's database is cut off from everybody while the block runs."""
    name = make_url(site.container.settings.database_url).database
    assert name
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(name), False))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        yield
        connection.execute(allow.format(sql.Identifier(name), True))


def test_without_postgres(postgres: str, site: Site) -> None:
    def ask(method: str, address: str, key: str) -> Reply:
        return site.ask(method, address, good_body(method, address), key=key)

    seen = site.create(FREDDY)
    bad_checksum = site.key[:-1] + ("x" if site.key[-1] != "x" else "y")
    with without_database(postgres, site):
        for method, address in ROUTES:
            if address.startswith("/v1/models"):
                continue
            reply = ask(method, address, site.key)
            assert reply.error == UNAVAILABLE, address
            assert 1 <= int(reply.header("retry-after") or 0) <= 120
        # Whether a key is known can't be said; that one is wrong in itself can.
        assert ask("GET", FREDDY.path, new_key()).error == UNAVAILABLE
        for wrong in (bad_checksum, CANARY):
            assert {ask(method, address, wrong).error for method, address in ROUTES} == {INVALID_KEY}
    assert site.count() == 1
    assert site.ask("GET", f"{FREDDY.path}/{seen}").json["status"] == "queued"
