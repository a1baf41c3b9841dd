"""Requests and answers about webhooks as examples, made by the presenter itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.api.webhooks.presenter import (
    present_deleted,
    present_delivery,
    present_endpoint,
    present_page,
    present_secret,
)
from app.domain.ids import ENDPOINT, prefixed, public_id
from app.domain.requests import JSON
from app.domain.webhooks import Attempt, Delivery, DeliveryStatus, DisabledReason, Endpoint, EventType, SigningSecret

_URL = "https://example.com/simmer"
_AT = datetime.fromtimestamp(1741476542, UTC)
_ID = UUID("0198f3c2a1b47d0c9e5f2a6b8c7d1e03")
_ENDPOINT = Endpoint(
    id=_ID,
    api_key_id=UUID(int=0),
    source="api",
    url=_URL,
    events=[EventType.COMPLETED.value, EventType.FAILED.value],
    description="The news desk's inbox",
    created_at=_AT,
)
_DISABLED = replace(
    _ENDPOINT,
    failing_since=_AT + timedelta(days=1),
    disabled_at=_AT + timedelta(days=6),
    disabled_reason=DisabledReason.FAILING,
)
# Of zeros: nobody may take it for one.
_SIGNING = SigningSecret(f"whsec_{'A' * 43}=", _AT, None)
_DELIVERY = Delivery(
    endpoint_id=_ID,
    event_id=UUID("0198f3c2a1b47d0c9e5f2a6b8c7d1e03"),
    type=EventType.COMPLETED,
    data_id=public_id(_ID),
    status=DeliveryStatus.DELIVERED,
    attempt=2,
    created_at=_AT,
    ended_at=_AT + timedelta(seconds=6),
    attempts=(
        Attempt(1, _AT, 0.031, 503, None, b"Try later."),
        Attempt(2, _AT + timedelta(seconds=5), 0.012, 204, None, b""),
    ),
)

CREATES: dict[str, JSON] = {
    "everything": {"url": _URL},
    "what completed or failed": {"url": _URL, "events": _ENDPOINT.events, "description": _ENDPOINT.description},
}
UPDATES: dict[str, JSON] = {"enable": {"enabled": True}, "other events": {"events": ["response.failed"]}}
ROTATIONS: dict[str, JSON] = {"with a day to change over": {}, "at once": {"overlap": 0}}
REPLAYS: dict[str, JSON] = {"since a time": {"since": 1741476542}}

CREATED = {"created": present_endpoint(_ENDPOINT, _SIGNING)}
SHOWN = {"enabled": present_endpoint(_ENDPOINT), "disabled": present_endpoint(_DISABLED)}
ENDPOINTS = {"a page": present_page([present_endpoint(_ENDPOINT)], has_more=False)}
DELETED = {"deleted": present_deleted(prefixed(ENDPOINT, _ID))}
SECRET = {"an endpoint's": present_secret(_SIGNING, _ID), "your API key's": present_secret(_SIGNING)}
DELIVERY = {"delivered": present_delivery(_DELIVERY)}
DELIVERIES = {"a page": present_page([present_delivery(_DELIVERY, attempts=False)], has_more=False)}
REPLAYED: dict[str, JSON] = {"some": {"object": "webhook_replay", "replayed": 12, "has_more": False}}
