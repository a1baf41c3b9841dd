"""The whole API on real parts, asked through Flask's own client."""

from collections.abc import Iterator
from typing import Any, Protocol, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.datastructures import Headers

from app.container import Container
from app.domain.scopes import DEFAULT_SCOPES
from app.factory import create_app
from app.settings import Settings

URL = "/v1/model/response"
BODY: dict[str, Any] = {
    "model": "gpt-4.1",
    "background": True,
    "inputs": [{"role": "user", "texts": [{"text": "Write a detailed article about AI"}]}],
}


class Reply(Protocol):
    """Werkzeug's TestResponse, whose `json` is known to be there."""

    @property
    def status_code(self) -> int: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def data(self) -> bytes: ...
    @property
    def text(self) -> str: ...
    @property
    def json(self) -> Any: ...


class Api:
    """A client with a key; `refused` checks the shape that every error has."""

    def __init__(self, app: Flask, key: str | None) -> None:
        self.client: FlaskClient = app.test_client()
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, method: str, path: str = URL, **options: Any) -> Reply:
        headers = options.pop("headers", self.headers)
        return cast("Reply", self.client.open(path, method=method, headers=headers, **options))

    def create(self, **change: Any) -> Reply:
        return self.ask("POST", json=BODY | change)

    def submit(self, **change: Any) -> str:
        created = self.create(**change)
        assert created.status_code == 200, created.text
        job_id: str = created.json["id"]
        return job_id


def refused(response: Reply) -> tuple[int, str, str, str | None]:
    """Status, type, code and param of an error, whose shape and headers are checked here."""
    assert response.content_type == "application/json", response.text
    assert set(response.json) == {"error"}
    error = response.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith(".")
    assert response.headers["X-Request-Id"]
    return response.status_code, error["type"], error["code"], error["param"]


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    made = create_app(settings)
    yield made
    made.extensions["simmer"].database.close()


@pytest.fixture
def key(container: Container) -> str:
    return container.keys.create("test", DEFAULT_SCOPES)[1]


@pytest.fixture
def api(app: Flask, key: str) -> Api:
    return Api(app, key)


@pytest.fixture
def stranger(app: Flask, container: Container) -> Api:
    """Somebody else, with a valid key."""
    return Api(app, container.keys.create("stranger", DEFAULT_SCOPES)[1])


def stored(container: Container) -> int:
    """Jobs in the database, whosever they are."""
    with container.database.transaction() as connection:
        return int(connection.execute(text("SELECT count(*) FROM jobs")).scalar_one())
