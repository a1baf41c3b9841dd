"""A running API without workers, asked as its callers ask, and looked at from behind."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.container import Container
from app.db import endings
from app.db import jobs as db
from app.domain.ids import parse_public_id
from app.domain.jobs import Claim, Completed, Usage
from app.domain.rates import Overrides
from tests.acceptance.bad_inputs.dialects import Dialect
from tests.acceptance.bad_inputs.raw import Connection, Headers, Reply, ask, request

CANARY = "canary-5b0e"
"""Stands in everything that is refused, and must never come back."""
JSON_TYPE = ("Content-Type", "application/json")
SCOPES = ("responses:read", "responses:write", "webhooks")
_ANSWER = [
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi.", "annotations": []}]}
]

Error = tuple[int, str, str, str | None]
"""Status, type, code and param."""


@dataclass(frozen=True)
class Site:
    """`container` has the parts of another process of the same Simmer; `log` is where the API writes."""

    url: str
    container: Container
    key: str
    log: Path

    def request(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Headers = (),
        *,
        key: str | None = None,
    ) -> bytes:
        """A request of the site's key, or of another one; a body that is not bytes yet is sent as JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given = {name.lower() for name, _ in headers}
        sent = [("Authorization", f"Bearer {key or self.key}")]
        if data is not None and "content-type" not in given:
            sent.append(JSON_TYPE)
        return request(method, target, [*sent, *headers], data)

    def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Headers = (),
        *,
        key: str | None = None,
    ) -> Reply:
        return ask(self.url, self.request(method, target, body, headers, key=key))

    def create(self, dialect: Dialect, *, key: str | None = None, **change: Any) -> str:
        """The id of a new job, which stays queued."""
        reply = self.ask("POST", dialect.path, dialect.body(**change), key=key)
        assert reply.status == 200, reply
        job_id: str = reply.json["id"]
        return job_id

    def create_stream(self, dialect: Dialect) -> str:
        """The id of a new job that has a stream, to which nobody listens."""
        with Connection(self.url) as connection:
            connection.send(self.request("POST", dialect.path, dialect.body(stream=True)))
            job_id: str = connection.event()["response"]["id"]
            return job_id

    def start(self, job_id: str) -> Claim:
        """Take a queued job, as a worker does."""
        known = parse_public_id(job_id)
        assert known
        with self.container.database.transaction() as connection:
            claim = db.claim(connection, known, worker="jobs@test", lease=3600)
        assert claim
        return claim

    def complete(self, job_id: str) -> None:
        """Do a worker's work on a queued job."""
        claim = self.start(job_id)
        with self.container.database.transaction() as connection:
            assert endings.settle(connection, claim, Completed(_ANSWER, Usage(1, 1, 2)), retention=3600)

    def new_key(self, *scopes: str, lifetime: float | None = None, overrides: Overrides | None = None) -> str:
        """The key of another caller, with the usual scopes if none are named."""
        return self.container.keys.create("other", scopes or SCOPES, lifetime, overrides)[1]

    def stored(self) -> Any:
        """All jobs, whosever they are, in one value to compare."""
        with self.container.database.transaction() as connection:
            return connection.scalar(text("SELECT md5(string_agg(j::text, '\n' ORDER BY id)) FROM jobs AS j"))

    def count(self) -> int:
        """The number of jobs, whosever they are."""
        with self.container.database.transaction() as connection:
            return int(connection.execute(text("SELECT count(*) FROM jobs")).scalar_one())

    def refuses(self, data: bytes) -> Error:
        """What a bad request gets; it must leave no trace, and its canary must not come back."""
        before = self.stored()
        reply = ask(self.url, data)
        assert CANARY not in reply.text
        assert self.stored() == before
        return reply.error
