"""A sender of webhooks that does as it is told, deliveries for it to send, and what became of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from app.db.engine import Database
from app.domain.webhook_sending import Reply, SendFailure, WebhookSendError
from app.domain.webhook_urls import WebhookUrl
from app.domain.webhooks import new_secret
from app.settings import Settings
from tests import deliveries

SECRET = new_secret()
OK = Reply(200, None, b"ok", 0.01)
SETTINGS = Settings(webhook_concurrency=2, retention=3_600)


@dataclass
class ScriptedSender:
    """Does what a test says at each request, and remembers it."""

    act: Callable[[], Reply] = lambda: OK
    sent: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    def check(self, url: str) -> WebhookUrl:
        raise NotImplementedError

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        self.sent.append((url, headers, body))
        return self.act()


def put(database: Database, endpoint_id: UUID, count: int = 1) -> list[UUID]:
    """Deliveries that are due, in this order: each comes at its own moment."""
    return [_put_one(database, endpoint_id) for _ in range(count)]


def _put_one(database: Database, endpoint_id: UUID) -> UUID:
    with database.transaction() as connection:
        return deliveries.put(connection, endpoint_id)


def statuses(database: Database, endpoint_id: UUID, events: list[UUID]) -> list[str]:
    with database.transaction() as connection:
        return [deliveries.row(connection, endpoint_id, event_id).status for event_id in events]


def fail(code: SendFailure = SendFailure.CONNECT_FAILED) -> Reply:
    raise WebhookSendError(code, "The endpoint takes no connection.")
