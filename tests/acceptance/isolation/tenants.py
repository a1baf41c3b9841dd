"""API keys whose jobs hold a canary of their own, wherever a job can hold one."""

from dataclasses import dataclass
from typing import Any

from app.db import endings
from app.domain.deltas import Finish, TextDelta
from app.domain.events import encode, pack
from app.domain.jobs import Claim, Failed, Failure, Usage
from app.domain.output import Assembler
from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect
from tests.acceptance.bad_inputs.raw import Connection
from tests.acceptance.bad_inputs.site import Site

STREAMED = "streamed"
"""Completed, with a stream to read."""
STATES = ("queued", "in_progress", "completed", "failed", "cancelled", STREAMED)


@dataclass(frozen=True)
class Held:
    """A job that stays as it is."""

    id: str
    dialect: Dialect
    state: str
    name: str
    """Its idempotency key."""
    etag: str


@dataclass(frozen=True)
class Tenant:
    """A key, and one job of it in each state for each dialect."""

    key: str
    canary: str
    jobs: tuple[Held, ...] = ()

    def body(self, dialect: Dialect, **change: Any) -> dict[str, Any]:
        """A request that holds the canary in its prompt, its instructions and its metadata."""
        own = {"instructions": f"{self.canary} instructions", "metadata": {"who": self.canary}}
        return dialect.body(f"{self.canary} prompt", **own, **change)

    def job(self, state: str, dialect: Dialect = OPENAI) -> Held:
        """The one in this state."""
        return next(job for job in self.jobs if (job.state, job.dialect) == (state, dialect))


def settle_in(site: Site, canary: str) -> Tenant:
    """A new tenant with all its jobs."""
    tenant = Tenant(site.new_key(), canary)
    held = [_hold(site, tenant, dialect, state) for dialect in (FREDDY, OPENAI) for state in STATES]
    return Tenant(tenant.key, canary, tuple(held))


def _hold(site: Site, tenant: Tenant, dialect: Dialect, state: str) -> Held:
    name = f"{tenant.canary} {dialect.name} {state}"
    body = tenant.body(dialect, stream=state == STREAMED)
    data = site.request("POST", dialect.path, body, [("Idempotency-Key", name)], key=tenant.key)
    with Connection(site.url) as connection:
        connection.send(data)
        job_id = connection.event()["response"]["id"] if state == STREAMED else connection.reply().json["id"]
    _bring(site, tenant, job_id, state)
    etag = site.ask("GET", f"{dialect.path}/{job_id}", key=tenant.key).header("etag")
    assert etag
    return Held(job_id, dialect, state, name, etag)


def _bring(site: Site, tenant: Tenant, job_id: str, state: str) -> None:
    """Bring a queued job into its state, as a worker or its owner does."""
    if state == "cancelled":
        assert site.ask("POST", f"{FREDDY.path}/{job_id}/cancel", key=tenant.key).status == 200
    elif state != "queued":
        claim = site.start(job_id)
        if state != "in_progress":
            _end(site, claim, state, tenant.canary)


def _end(site: Site, claim: Claim, state: str, canary: str) -> None:
    assembler = Assembler(claim.job_id)
    deltas = (TextDelta(f"{canary} answer "), TextDelta(f"of {canary}"), Finish(usage=Usage(1, 1, 2)))
    events = [encode(event) for delta in deltas for event in assembler.feed(delta)]
    failed = Failed(Failure.UPSTREAM_ERROR, f"{canary} went wrong.")
    outcome = failed if state == "failed" else assembler.completed
    assert outcome
    with site.container.database.transaction() as connection:
        log = pack(events) if state == STREAMED else None
        assert endings.settle(connection, claim, outcome, retention=3600, events=log)
