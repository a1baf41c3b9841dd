"""Webhook endpoints, their secrets and their deliveries: what their owner can do."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from app.db import webhook_deliveries as deliveries_db
from app.db import webhook_endpoints as db
from app.db import webhook_secrets as secrets_db
from app.db.engine import Database
from app.db.webhook_deliveries import DeliveryFilter
from app.db.webhook_endpoints import EndpointFilter
from app.domain.errors import IllegalMoveError, InvalidKeyError, InvalidRequestError, NotFoundError
from app.domain.ids import ENDPOINT, new_id, prefixed
from app.domain.ports import Dispatcher
from app.domain.webhook_sending import WebhookSender
from app.domain.webhooks import SUBSCRIBABLE, Delivery, Endpoint, SigningSecret, event_types
from app.services.batches import in_batches

__all__ = ["DeliveryFilter", "EndpointFilter", "Replayed", "WebhookService"]

log = logging.getLogger(__name__)

MAX_ENDPOINTS = 100
"""Endpoints that an API key's owner may have."""
BATCH = 1_000
"""Deliveries that one statement deletes or replays."""
MAX_REPLAYED = 10_000
"""Deliveries that one request replays."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many deliveries are due again, and whether some are left for another request."""

    count: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class WebhookService:
    """Every method acts for one API key, and sees that key's endpoints alone.

    Raises NotFoundError, the same for an unknown, malformed (None) and foreign id.
    """

    database: Database
    sender: WebhookSender
    dispatcher: Dispatcher

    def create(
        self, api_key_id: UUID, url: str, events: Sequence[str] | None = None, description: str | None = None
    ) -> tuple[Endpoint, SigningSecret]:
        """A new endpoint, told of `events` or of all there are; and its secret, which is shown this once.

        Raises WebhookUrlError, UnavailableError if the DNS does not say whether the URL is good, and
        InvalidRequestError if there are too many.
        """
        checked = str(self.sender.check(url))
        with self.database.transaction() as connection:
            self._lock(connection, api_key_id)
            if db.count(connection, api_key_id, "api") >= MAX_ENDPOINTS:
                raise InvalidRequestError(
                    f"An API key may have {MAX_ENDPOINTS} webhook endpoints. Delete one first.",
                    code="too_many_webhook_endpoints",
                )
            wanted = _names(SUBSCRIBABLE if events is None else events)
            endpoint = db.add(connection, api_key_id, checked, wanted, description)
            secret = _secret(connection, api_key_id, endpoint.id)
        log.info("webhook endpoint created", extra={"fields": {"endpoint_id": prefixed(ENDPOINT, endpoint.id)}})
        return endpoint, secret

    def get(self, api_key_id: UUID, endpoint_id: UUID | None) -> Endpoint:
        """The endpoint."""
        with self.database.autocommit() as connection:
            return _find(connection, api_key_id, endpoint_id)

    def owner_of(self, endpoint_id: UUID | None) -> UUID:
        """Whose endpoint it is: for the people who run Simmer."""
        with self.database.autocommit() as connection:
            owner = db.owner_of(connection, endpoint_id) if endpoint_id else None
        if owner is None:
            raise _no_endpoint()
        return owner

    def page(self, api_key_id: UUID, wanted: EndpointFilter) -> tuple[list[Endpoint], bool]:
        """One page of the key's endpoints, and whether there are more. Raises InvalidRequestError for an unknown
        cursor.
        """
        with self.database.transaction() as connection:
            if wanted.after and db.get(connection, api_key_id, wanted.after) is None:
                raise _bad_cursor("a webhook endpoint of yours")
            return db.page(connection, api_key_id, wanted)

    def update(
        self, api_key_id: UUID, endpoint_id: UUID | None, values: dict[str, Any], *, enabled: bool | None = None
    ) -> Endpoint:
        """Change `url`, `events` and `description`, as far as they are in `values`; enable it or disable it.

        Raises as `create` does.
        """
        with self.database.autocommit() as connection:
            _editable(connection, api_key_id, endpoint_id)
        changed = dict(values)
        if "url" in values:
            changed["url"] = str(self.sender.check(values["url"]))
        if "events" in values:
            changed["events"] = _names(values["events"])
        with self.database.transaction() as connection:
            self._lock(connection, api_key_id)
            endpoint = _editable(connection, api_key_id, endpoint_id)
            if changed or enabled is not None:
                endpoint = db.change(connection, api_key_id, endpoint.id, changed, enabled=enabled)
        return endpoint

    def delete(self, api_key_id: UUID, endpoint_id: UUID | None) -> None:
        """Delete the endpoint with its deliveries. From the first moment on it gets nothing new; killed on the way, it
        is still there, disabled.
        """
        with self.database.transaction() as connection:
            endpoint = _editable(connection, api_key_id, endpoint_id)
            db.change(connection, api_key_id, endpoint.id, {}, enabled=False)
        # In batches: there may be a million, and a statement has a time limit.
        self._all(lambda connection: db.forget_deliveries(connection, endpoint.id, limit=BATCH))
        with self.database.transaction() as connection:
            db.lock_owner(connection, api_key_id)
            db.remove(connection, api_key_id, endpoint.id)
        log.info("webhook endpoint deleted", extra={"fields": {"endpoint_id": prefixed(ENDPOINT, endpoint.id)}})

    def rotate_secret(self, api_key_id: UUID, endpoint_id: UUID | None, *, overlap: float) -> SigningSecret:
        """A new secret for the endpoint, shown this once; the one before signs as well for `overlap` seconds."""
        with self.database.transaction() as connection:
            self._lock(connection, api_key_id)
            endpoint = _editable(connection, api_key_id, endpoint_id)
            return _rotated(connection, api_key_id, endpoint.id, overlap)

    def key_secret(self, api_key_id: UUID) -> SigningSecret:
        """What signs the webhooks of the key's single jobs; made when it is first asked for."""
        with self.database.autocommit() as connection:
            if secret := secrets_db.get(connection, api_key_id, None):
                return secret
        with self.database.transaction() as connection:
            self._lock(connection, api_key_id)
            return _secret(connection, api_key_id, None)

    def rotate_key_secret(self, api_key_id: UUID, *, overlap: float) -> SigningSecret:
        """A new one of these; the one before signs as well for `overlap` seconds."""
        with self.database.transaction() as connection:
            self._lock(connection, api_key_id)
            return _rotated(connection, api_key_id, None, overlap)

    def test(self, api_key_id: UUID, endpoint_id: UUID | None) -> Delivery:
        """Send the endpoint a test event. Raises InvalidRequestError if it is disabled."""
        event_id = new_id()
        with self.database.transaction() as connection:
            self._lock(connection, api_key_id)
            endpoint = _editable(connection, api_key_id, endpoint_id)
            _check_enabled(endpoint)
            deliveries_db.add_test(connection, endpoint.id, event_id)
            delivery = _find_delivery(connection, endpoint.id, event_id)
        self.dispatcher.deliver(endpoint.id)
        return delivery

    def deliveries(
        self, api_key_id: UUID, endpoint_id: UUID | None, wanted: DeliveryFilter
    ) -> tuple[list[Delivery], bool]:
        """One page of the endpoint's deliveries, newest first, without their attempts; and whether there are more.

        Raises InvalidRequestError for an unknown cursor.
        """
        with self.database.transaction() as connection:
            endpoint = _find(connection, api_key_id, endpoint_id)
            if wanted.after and deliveries_db.get(connection, endpoint.id, wanted.after) is None:
                raise _bad_cursor("a delivery to this endpoint")
            return deliveries_db.page(connection, endpoint.id, wanted)

    def delivery(self, api_key_id: UUID, endpoint_id: UUID | None, event_id: UUID | None) -> Delivery:
        """One delivery with its attempts."""
        with self.database.transaction() as connection:
            return _find_delivery(connection, _find(connection, api_key_id, endpoint_id).id, event_id)

    def replay(self, api_key_id: UUID, endpoint_id: UUID | None, event_id: UUID | None) -> Delivery:
        """Send an event that was delivered or given up once more, with all its tries.

        Raises InvalidRequestError if the endpoint is disabled, and IllegalMoveError if the event is on its way.
        """
        with self.database.transaction() as connection:
            endpoint = _find(connection, api_key_id, endpoint_id)
            delivery = _find_delivery(connection, endpoint.id, event_id)
            _check_enabled(endpoint)
            if not deliveries_db.replay(connection, endpoint.id, delivery.event_id):
                raise IllegalMoveError("Cannot replay a delivery that has not ended. It is tried again by itself.")
            delivery = _find_delivery(connection, endpoint.id, event_id)
        self.dispatcher.deliver(endpoint.id)
        return delivery

    def replay_failed(self, api_key_id: UUID, endpoint_id: UUID | None, *, since: datetime) -> Replayed:
        """The same with all that were given up at `since` or later, up to MAX_REPLAYED.

        Raises InvalidRequestError if the endpoint is disabled.
        """
        endpoint = self.get(api_key_id, endpoint_id)
        _check_enabled(endpoint)
        # Bounded: what fails again at once would be found again, for ever.
        count = self._all(
            lambda connection: deliveries_db.replay_failed(connection, endpoint.id, since=since, limit=BATCH),
            MAX_REPLAYED,
        )
        if count:
            self.dispatcher.deliver(endpoint.id)
        return Replayed(count, has_more=count >= MAX_REPLAYED)

    def _all(self, work: Callable[[Connection], int], most: float = inf) -> int:
        """Repeat `work`, each time in a transaction of its own, until it finds less than a batch; how many in all."""

        def batch() -> int:
            with self.database.transaction() as connection:
                return work(connection)

        return in_batches(batch, BATCH, budget=inf, most=most)

    @staticmethod
    def _lock(connection: Connection, api_key_id: UUID) -> None:
        # A revoked key is still let in for some seconds; nothing may be made, nor enabled, that its end has passed by.
        if not db.lock_owner(connection, api_key_id):
            raise InvalidKeyError("This API key was revoked. Use one that is in use.")


def _names(events: Sequence[str]) -> list[str]:
    return [kind.value for kind in event_types(events)]


def _secret(connection: Connection, api_key_id: UUID, endpoint_id: UUID | None) -> SigningSecret:
    """The current one, made if there is none."""
    secrets_db.add(connection, api_key_id, endpoint_id)
    secret = secrets_db.get(connection, api_key_id, endpoint_id)
    assert secret, "it has just been made, and the key's row is locked"
    return secret


def _find(connection: Connection, api_key_id: UUID, endpoint_id: UUID | None) -> Endpoint:
    endpoint = db.get(connection, api_key_id, endpoint_id) if endpoint_id else None
    if endpoint is None:
        raise _no_endpoint()
    return endpoint


def _editable(connection: Connection, api_key_id: UUID, endpoint_id: UUID | None) -> Endpoint:
    """The endpoint. Raises InvalidRequestError for one that came with jobs: it is nobody's to change."""
    endpoint = _find(connection, api_key_id, endpoint_id)
    if endpoint.source != "api":
        message = "This endpoint came with responses. Its deliveries can be read and replayed, and no more."
        raise InvalidRequestError(message, code="webhook_endpoint_read_only")
    return endpoint


def _rotated(connection: Connection, api_key_id: UUID, endpoint_id: UUID | None, overlap: float) -> SigningSecret:
    secrets_db.retire(connection, api_key_id, endpoint_id, overlap=overlap)
    return _secret(connection, api_key_id, endpoint_id)


def _find_delivery(connection: Connection, endpoint_id: UUID, event_id: UUID | None) -> Delivery:
    delivery = deliveries_db.get(connection, endpoint_id, event_id) if event_id else None
    if delivery is None:
        raise NotFoundError("There is no delivery of an event with this id.")
    return delivery


def _check_enabled(endpoint: Endpoint) -> None:
    if endpoint.disabled_at:
        message = "This webhook endpoint is disabled. Enable it first."
        raise InvalidRequestError(message, code="webhook_endpoint_disabled")


def _no_endpoint() -> NotFoundError:
    return NotFoundError("There is no webhook endpoint with this id.")


def _bad_cursor(what: str) -> InvalidRequestError:
    return InvalidRequestError(f"`after` must be the id of {what}.", code="invalid_value", param="after")
