"""Every kind of fault that `simmer doctor` knows, and how to plant it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import make_url

from app.adapters.broker_facts import BrokerFacts, BrokerInspector
from app.adapters.inspection import Node
from app.adapters.queue import ALL_QUEUES
from app.db import vitals
from app.db.sealing import sealed, sealer_of
from app.domain.ids import new_id
from app.domain.lifecycle import Status
from tests import rows
from tests.encryption import connected, keys
from tests.integration.commands.sites import NODES, Site
from tests.processes import free_port

CANARY = "canary-5d0f"


def address(name: str, **parts: Any) -> Callable[[Site], None]:
    """Another part in the URL of a setting."""

    def plant(site: Site) -> None:
        url = make_url(site.env[f"SIMMER_{name.upper()}"]).set(**parts)
        site.set(**{name: url.render_as_string(hide_password=False)})

    return plant


def setting(**settings: object) -> Callable[[Site], None]:
    return lambda site: site.set(**settings)


def job(status: Status, **columns: Any) -> Callable[[Site], None]:
    def plant(site: Site) -> None:
        with site.container.database.transaction() as connection:
            rows.put(connection, rows.add_owner(connection), status, **columns)

    return plant


def sealed_job(site: Site) -> None:
    with connected(site.env["SIMMER_DATABASE_URL"], "b") as database, database.transaction() as connection:
        job_id = new_id()
        payload = sealed(sealer_of(connection), job_id, request={}, inputs={"inputs": []})
        rows.put(connection, rows.add_owner(connection), Status.QUEUED, id=job_id, **payload)


def few_connections(site: Site) -> None:
    real = vitals.server
    site.monkeypatch.setattr(vitals, "server", lambda connection: replace(real(connection), open=95, usable=97))


def broker_says(change: Callable[[BrokerFacts], BrokerFacts]) -> Callable[[Site], None]:
    def plant(site: Site) -> None:
        real = BrokerInspector.facts
        site.monkeypatch.setattr(BrokerInspector, "facts", lambda self: change(real(self)))

    return plant


def standby(site: Site) -> None:
    name = make_url(site.env["SIMMER_DATABASE_URL"]).database
    site.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET default_transaction_read_only = on")


def not_yet_encrypted(site: Site) -> None:
    job(Status.QUEUED)(site)
    site.set(encryption_keys=keys("a"))


def statement(text: str) -> Callable[[Site], None]:
    return lambda site: site.execute(text)


def nobody_for(queue: str) -> Callable[[Site], None]:
    return lambda site: site.nodes(*site.without(queue))


def models(**parts: str) -> Callable[[Site], None]:
    return lambda site: site.models(**parts)


def nodes(*others: Node) -> Callable[[Site], None]:
    return lambda site: site.nodes(*NODES, *others)


def visibility(seconds: float) -> Callable[[Site], None]:
    return lambda site: site.monkeypatch.setattr("app.commands.checks.upstreams.BROKER_VISIBILITY_TIMEOUT", seconds)


def disk(free: int) -> Callable[[Site], None]:
    def plant(site: Site) -> None:
        site.set(home="/")
        usage = type("Usage", (), {"total": 1000, "used": 1000 - free, "free": free})
        site.monkeypatch.setattr("app.commands.checks.broker.shutil.disk_usage", lambda _: usage)

    return plant


# What is planted, the check that names it, how bad it is, and what is said.
FAULTS: dict[str, tuple[Callable[[Site], object], str, str, str]] = {
    "database of another kind": (
        setting(database_url=f"mysql://u:{CANARY}@h"), "settings", "broken", "SIMMER_DATABASE_URL: must look like"),
    "broker of another kind": (
        setting(broker_url=f"amqp://u:{CANARY}@h"), "settings", "broken", "SIMMER_BROKER_URL: must look like"),
    "heartbeat against lease": (
        setting(heartbeat_interval=30), "settings", "broken", "SIMMER_HEARTBEAT_INTERVAL must be at most a third"),
    "soft against hard limit": (
        setting(time_limit=10), "settings", "broken", "SIMMER_SOFT_TIME_LIMIT must not exceed SIMMER_TIME_LIMIT"),
    "no database": (setting(database_url=""), "settings", "broken", "Not set: SIMMER_DATABASE_URL"),
    "no broker": (setting(broker_url=""), "settings", "broken", "Not set: SIMMER_BROKER_URL"),
    "no models": (setting(models=""), "settings", "broken", "Not set: SIMMER_MODELS"),
    "rare sweeps": (
        setting(sweep_interval=100, redispatch_after=200), "intervals", "warning", "rescues lost jobs"),
    "late messages": (
        setting(redispatch_after=60, queue_timeout=60), "intervals", "warning", "60 s in the queue"),
    "messages before sweeps": (
        setting(redispatch_after=2), "intervals", "warning", "could be sent again after 2 s"),
    "long lease": (setting(lease=1900), "intervals", "warning", "longer than a try may (1800 s)"),
    "database down": (address("database_url", port=free_port()), "database", "broken", "It does not answer"),
    "database's password": (
        address("database_url", password=CANARY), "database", "broken", "refuses the user or the password"),
    "no such database": (address("database_url", database="none"), "database", "broken", "has no such database"),
    "standby": (standby, "database", "broken", "read-only"),
    "older schema": (
        statement("UPDATE alembic_version SET version_num = '0001'"), "migrations", "broken", "not this release's"),
    "no schema": (statement("DROP TABLE alembic_version"), "migrations", "broken", "not this release's"),
    "wide pools": (setting(database_pool=100), "connections", "warning", "404 connections, 101 each"),
    "connections in use": (few_connections, "connections", "broken", "95 of 97 connections are in use"),
    "key lost": (sealed_job, "encryption", "broken", "not set here: b"),
    "not yet encrypted": (not_yet_encrypted, "encryption", "warning", "not encrypted, though the key a is set"),
    "broker down": (address("broker_url", port=free_port()), "broker", "broken", "It does not answer"),
    "broker's password": (
        address("broker_url", password=CANARY), "broker", "broken", "refuses the user or the password"),
    "eviction": (
        lambda site: site.broker.config_set("maxmemory-policy", "allkeys-lru"), "eviction", "broken", "is allkeys-lru"),
    "broker's memory": (
        broker_says(lambda facts: replace(facts, max_memory=1000, used_memory=950)),
        "eviction", "warning", "950 B of 1000 B"),
    "broker's clock": (
        broker_says(lambda facts: replace(facts, now=facts.now - 20)), "clocks", "warning", "ahead of the broker's"),
    "models file lost": (
        setting(models="/none/models.toml"), "models", "broken", "can't be read: No such file"),
    "models file wrong": (models(more='base_uri = "x"'), "models", "broken", "upstreams.mock.base_uri"),
    "no TOML": (models(more="]"), "models", "broken", "is not TOML"),
    "unknown upstream": (models(upstream="mokc"), "models", "broken", "there is no [upstreams.mokc]"),
    "upstream's key": (models(more='api_key_env = "NOBODY_SET_THIS"'), "models", "warning", "NOBODY_SET_THIS"),
    "upstream down": (
        models(base_url=f"http://127.0.0.1:{free_port()}/v1"), "upstreams", "broken", "nothing answers at"),
    "model not served": (models(name="gpt-9"), "upstreams", "warning", "does not list gpt-9"),
    "long hard limit": (visibility(1800), "limits", "broken", "is not below the visibility timeout"),
    "impatient neighbour": (
        nodes(Node("theirs@there", ("celery",), 4, 60)), "limits", "broken", "theirs@there shares the broker"),
    "neighbour with kombu's default": (
        nodes(Node("theirs@there", ("celery",), 4, 3600)), "limits", "warning", "3600 s instead of 7200 s"),
    "no beat": (lambda site: site.nodes(*NODES[1:]), "beat", "broken", "Beat does not answer"),
    "lost jobs lie about": (
        job(Status.IN_PROGRESS, lease_expires_at=rows.EARLIER), "beat", "broken", "1 running jobs whose worker"),
    "old jobs lie about": (
        job(Status.QUEUED, queue_expires_at=rows.EARLIER), "beat", "broken", "1 queued jobs that are past their"),
    "results lie about": (
        job(Status.FAILED, ended_at=rows.EARLIER, expires_at=rows.EARLIER), "beat", "broken", "1 expired results wait"),
    "disk nearly full": (disk(free=50), "disk", "warning", "50 B of 1000 B are free"),
    "disk full": (disk(free=10), "disk", "broken", "10 B of 1000 B are free"),
    **{
        f"nobody for {queue}": (
            nobody_for(queue), "workers", "warning" if queue == "webhooks" else "broken", f"the queue `{queue}`")
        for queue in ALL_QUEUES
    },
}  # fmt: skip
