"""An API client whose every answer is held against the OpenAPI document, and jobs in any state to ask it for."""

from typing import Any, cast

import pytest
from flask import Flask

from app.api.openapi.document import describe
from app.container import Container
from app.db import endings
from app.db import jobs as db
from app.domain.deltas import Delta
from app.domain.events import encode, pack
from app.domain.ids import parse_public_id
from app.domain.jobs import Claim, Outcome
from app.domain.output import Assembler
from app.factory import create_app
from app.settings import Settings
from tests.documented import Documented
from tests.integration.api.conftest import Api, Reply

URLS = {"openai": "/v1/responses", "freddy": "/v1/model/response"}
TALK: dict[str, dict[str, Any]] = {
    "openai": {"input": "Write a detailed article about AI"},
    "freddy": {"inputs": [{"role": "user", "texts": [{"text": "Write a detailed article about AI"}]}]},
}


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Documented:
    """The document, of an app that nobody asks for anything."""
    models = tmp_path_factory.mktemp("models") / "models.toml"
    models.write_text('upstreams.none.base_url = "http://127.0.0.1:9/v1"\nmodels.none.upstream = "none"')
    nowhere = Settings(database_url="postgresql://127.0.0.1:9/none", broker_url="redis://127.0.0.1:9/0", models=models)
    return Documented(describe(create_app(nowhere)))


class Held(Api):
    """Every answer is held against the document."""

    documented: Documented

    def ask(self, method: str, path: str = "", **options: Any) -> Reply:
        reply = super().ask(method, path, **options)
        is_json = reply.content_type == "application/json" and reply.data
        body = reply.json if is_json else reply.text
        self.documented.check(method, path.partition("?")[0], reply.status_code, dict(reply.headers), body)
        return reply

    def make(self, dialect: str, **more: Any) -> str:
        reply = self.ask("POST", URLS[dialect], json={"model": "gpt-4.1", "background": True, **TALK[dialect], **more})
        assert reply.status_code == 200, reply.text
        return cast("str", reply.json["id"])


@pytest.fixture
def held(app: Flask, key: str, documented: Documented) -> Held:
    made = Held(app, key)
    made.documented = documented
    return made


def start(container: Container, job_id: str) -> Claim:
    known = parse_public_id(job_id)
    assert known
    with container.database.transaction() as connection:
        claim = db.claim(connection, known, worker="w@h", lease=60)
    assert claim
    return claim


def settle(container: Container, claim: Claim, outcome: Outcome, events: list[Any] | None = None) -> None:
    log = pack(map(encode, events)) if events is not None else None
    with container.database.transaction() as connection:
        assert endings.settle(connection, claim, outcome, retention=86_400, events=log)


def complete(container: Container, job_id: str, deltas: list[Delta]) -> None:
    claim = start(container, job_id)
    assembler = Assembler(claim.job_id)
    events = [event for delta in deltas for event in assembler.feed(delta)]
    assert assembler.completed
    settle(container, claim, assembler.completed, events)
