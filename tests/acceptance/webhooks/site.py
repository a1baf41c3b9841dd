"""A whole Simmer with its webhook worker, and an endpoint that listens."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from openai import OpenAI
from standardwebhooks import Webhook

from app.container import Container
from app.settings import Settings
from tests.cluster import Client, Cluster
from tests.processes import wait_until
from tests.webhook_receiver import Received, Receiver

SCOPES = ["responses:read", "responses:write", "webhooks"]
PATIENCE = 60.0


@dataclass(frozen=True)
class Endpoint:
    """A webhook endpoint and its secret."""

    id: str
    secret: str
    path: str


@dataclass(frozen=True)
class Site:
    """What runs. Every test takes a key, and paths, of its own."""

    cluster: Cluster
    url: str
    receiver: Receiver

    def client(self) -> Client:
        """A client with a key of its own."""
        settings = Settings(database_url=self.cluster.env["SIMMER_DATABASE_URL"])
        container = Container(settings)
        key = container.keys.create("webhooks", SCOPES)[1]
        container.database.close()
        return Client(self.url, key)

    def endpoint(self, client: Client, path: str, **more: Any) -> Endpoint:
        """Register the receiver's path."""
        reply = client.request("POST", "/v1/webhook_endpoints", {"url": self.receiver.url(path), **more})
        assert reply.status == 200, reply
        return Endpoint(reply.json["id"], reply.json["secret"], path)

    def show(self, client: Client, endpoint: Endpoint) -> Any:
        """The endpoint as it is now."""
        return client.request("GET", f"/v1/webhook_endpoints/{endpoint.id}").json

    def deliveries(self, client: Client, endpoint: Endpoint) -> Any:
        """Its deliveries, newest first."""
        return client.request("GET", f"/v1/webhook_endpoints/{endpoint.id}/deliveries?limit=100").json["data"]

    def delivery(self, client: Client, endpoint: Endpoint, event_id: str) -> Any:
        """One of them, with its tries."""
        return client.request("GET", f"/v1/webhook_endpoints/{endpoint.id}/deliveries/{event_id}").json

    def received(self, path: str, count: int = 1) -> list[Received]:
        """The requests to a path, once there are so many."""

        def there() -> list[Received]:
            found = [one for one in list(self.receiver.requests) if one.path == path]
            return found if len(found) >= count else []

        return wait_until(there, PATIENCE, f"{count} requests to {path}")

    def sql(self, statement: str) -> None:
        """Change rows behind the product's back: mostly to have a time come sooner."""
        with psycopg.connect(self.cluster.env["SIMMER_DATABASE_URL"], autocommit=True) as connection:
            connection.execute(statement.encode())

    def hurry(self) -> None:
        """Make all that waits for its next try due now."""
        self.sql("UPDATE webhook_endpoints SET open_until = NULL WHERE open_until IS NOT NULL")
        self.sql("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE status = 'pending'")


def event_of(job_id: str) -> str:
    """The event of a job's end."""
    return job_id.replace("resp_", "evt_")


def told(requests: Sequence[Received], secret: str) -> list[tuple[str, str]]:
    """Type and subject of each, as two libraries agree that they are verified to be."""
    return [_verified(request, secret) for request in requests]


def _verified(request: Received, secret: str) -> tuple[str, str]:
    headers = dict(request.headers)
    found = Webhook(secret).verify(request.body, headers)
    assert found == json.loads(request.body)
    assert found["id"] == headers["webhook-id"]
    event = OpenAI(api_key="none", webhook_secret=secret).webhooks.unwrap(request.body, headers)
    assert event.id == found["id"]
    assert event.type == found["type"]
    return found["type"], found["data"]["id"]
