"""The webhooks that single jobs come with: whether they may go there, and which endpoint they go through."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from app.db import webhook_endpoints as db
from app.db import webhook_secrets
from app.db.engine import Database
from app.domain.errors import InvalidKeyError, InvalidRequestError, OverloadedError
from app.domain.webhook_sending import WebhookSender
from app.domain.webhook_urls import Networks, WebhookUrl, WebhookUrlError, parse_webhook_url
from app.domain.webhooks import JobLane, JobWebhook, event_types

PARAM = "webhook.url"
MAX_ORIGINS = 1_000
"""Servers that the webhooks of one key's jobs go to. Each end of a job looks at all of its key's endpoints."""
TRUSTED = 30.0
"""Seconds for which a process takes an origin to be as good as it was found: the guard looks again at each send."""
MAX_TRUSTED = 1_000
"""Origins that one process remembers."""


@dataclass(frozen=True, slots=True)
class JobWebhooks:
    """`allowed` networks may be reached though they are not public."""

    database: Database
    sender: WebhookSender
    allowed: Networks
    clock: Callable[[], float] = time.monotonic
    _trusted: dict[str, float] = field(default_factory=dict)
    """Until when, by origin."""

    def lane(self, api_key_id: UUID, webhook: JobWebhook) -> JobLane:
        """What the job's row is to say of it. No transaction may be open: it may take a look at the DNS.

        Raises WebhookUrlError, UnavailableError if the DNS does not say, and InvalidRequestError if there are
        too many.
        """
        url = self._checked(webhook.url)
        with self.database.autocommit() as connection:
            endpoint_id = db.find_lane(connection, api_key_id, url.origin)
        events = tuple(kind.value for kind in event_types(webhook.events))
        return JobLane(endpoint_id or self._made(api_key_id, url.origin), str(url), events)

    def _checked(self, url: str) -> WebhookUrl:
        parsed = parse_webhook_url(url, self.allowed, param=PARAM)
        now = self.clock()
        if now >= self._trusted.get(parsed.origin, now):
            try:
                self.sender.check(url)
            except WebhookUrlError as error:
                error.param = PARAM
                raise
            except OverloadedError:
                # Somebody floods us with names that are slow to look up. A job can be had nevertheless: what is sent
                # is checked at each try.
                return parsed
            if len(self._trusted) >= MAX_TRUSTED:
                self._trusted.clear()
            self._trusted[parsed.origin] = now + TRUSTED
        return parsed

    def _made(self, api_key_id: UUID, origin: str) -> UUID:
        with self.database.transaction() as connection:
            if not db.lock_owner(connection, api_key_id):
                raise InvalidKeyError("This API key was revoked. Use one that is in use.")
            known = db.has_lane(connection, api_key_id, origin)
            if not known and db.count(connection, api_key_id, "job") >= MAX_ORIGINS:
                message = f"The webhooks of your responses go to {MAX_ORIGINS} servers already. Use one of these."
                raise InvalidRequestError(message, code="too_many_webhook_endpoints", param=PARAM)
            webhook_secrets.add(connection, api_key_id, None)
            return db.use_lane(connection, api_key_id, origin)
