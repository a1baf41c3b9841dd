"""The API while something it needs is down: clear answers, soon, and never HTML."""

import socket
from collections.abc import Callable, Iterator

import psycopg
import pytest
from flask import Flask
from psycopg import sql
from sqlalchemy.engine import make_url

from app.factory import create_app
from app.settings import Settings
from tests.integration.api.conftest import URL, Api, refused
from tests.processes import free_port

UNAVAILABLE = (503, "server_error", "unavailable", None)

Switch = Callable[[bool], None]


@pytest.fixture
def database_switch(postgres: str, database_url: str) -> Iterator[Switch]:
    """Cuts this test's own database off from everybody, and lets them back."""
    name = make_url(database_url).database
    assert name

    def switch(on: bool) -> None:
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(on))
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(allow)
            if not on:
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

    yield switch
    switch(True)


def with_broker(settings: Settings, url: str) -> Iterator[Flask]:
    made = create_app(settings.model_copy(update={"broker_url": url}))
    yield made
    made.extensions["simmer"].database.close()


@pytest.fixture
def app_without_broker(settings: Settings) -> Iterator[Flask]:
    yield from with_broker(settings, f"redis://127.0.0.1:{free_port()}/0")


@pytest.fixture
def app_with_frozen_broker(settings: Settings) -> Iterator[Flask]:
    """The broker's port takes connections, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield from with_broker(settings, f"redis://127.0.0.1:{silent.getsockname()[1]}/0")


def test_without_the_database_every_route_is_unavailable(api: Api, database_switch: Switch) -> None:
    job_id = api.submit()
    database_switch(False)
    replies = [
        api.create(),
        api.ask("GET"),
        api.ask("GET", f"{URL}/{job_id}"),
        api.ask("POST", f"{URL}/{job_id}/cancel"),
        api.ask("DELETE", f"{URL}/{job_id}"),
    ]
    assert [refused(reply) for reply in replies] == [UNAVAILABLE] * len(replies)
    assert all(0 < int(reply.headers["Retry-After"]) <= 120 for reply in replies)
    assert api.ask("GET", "/healthz").status_code == 200
    ready = api.ask("GET", "/readyz")
    assert (ready.status_code, ready.content_type) == (503, "application/json")
    assert ready.json == {
        "status": "unavailable",
        "database": "unavailable",
        "migrations": "unknown",
        "broker": "ok",
    }
    database_switch(True)
    assert api.ask("GET", "/readyz").json["status"] == "ok"
    assert api.ask("GET", f"{URL}/{job_id}").json["status"] == "queued"


def test_a_key_that_can_not_be_checked_is_not_let_in(app: Flask, key: str, database_switch: Switch) -> None:
    database_switch(False)
    assert refused(Api(app, key).ask("GET")) == UNAVAILABLE


def test_what_a_request_is_refused_for_needs_no_database(api: Api, database_switch: Switch) -> None:
    assert api.ask("GET").status_code == 200
    database_switch(False)
    assert api.create(model=1).status_code == 400
    assert api.ask("GET", "/nowhere").status_code == 404


@pytest.mark.parametrize("broker", ["app_without_broker", "app_with_frozen_broker"])
def test_without_the_broker_the_api_serves(request: pytest.FixtureRequest, broker: str, key: str) -> None:
    api = Api(request.getfixturevalue(broker), key)
    ids = [api.submit() for _ in range(3)]
    assert {api.ask("GET", f"{URL}/{job_id}").json["status"] for job_id in ids} == {"queued"}
    assert api.ask("POST", f"{URL}/{ids[0]}/cancel").json["status"] == "cancelled"
    ready = api.ask("GET", "/readyz")
    assert ready.status_code == 200
    assert ready.json == {"status": "degraded", "database": "ok", "migrations": "ok", "broker": "unavailable"}


def test_all_is_well(api: Api) -> None:
    ready = api.ask("GET", "/readyz", headers={})
    assert ready.status_code == 200
    assert ready.json == {"status": "ok", "database": "ok", "migrations": "ok", "broker": "ok"}
    assert api.ask("GET", "/healthz", headers={}).json == {"status": "ok"}


BEHIND = {"status": "unavailable", "database": "ok", "migrations": "run `simmer migrate`", "broker": "ok"}


def test_a_database_that_was_never_migrated(empty_database_url: str, settings: Settings, key: str) -> None:
    app = create_app(settings.model_copy(update={"database_url": empty_database_url}))
    api = Api(app, key)
    ready = api.ask("GET", "/readyz")
    assert (ready.status_code, ready.json) == (503, BEHIND)
    assert refused(api.create()) == UNAVAILABLE
    app.extensions["simmer"].database.close()


def test_a_database_at_another_revision(api: Api, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    ready = api.ask("GET", "/readyz")
    assert (ready.status_code, ready.json) == (503, BEHIND)
