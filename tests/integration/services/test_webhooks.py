"""What the owner of webhook endpoints can do, on a real database."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.db import webhook_endpoints, webhook_secrets
from app.db.engine import Database
from app.db.recording import DELIVERIES
from app.db.webhook_models import WebhookSecret
from app.domain.errors import (
    InvalidKeyError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from app.domain.ids import new_id
from app.domain.rates import KeyLimits, parse_rate
from app.domain.webhooks import SUBSCRIBABLE, DisabledReason, Endpoint
from app.services import webhooks
from app.services.keys import KeyService
from app.services.webhooks import EndpointFilter, WebhookService
from tests import rows
from tests.encryption import connected
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.endpoints import URL, change, code, deliver
from tests.integration.services.public_sender import PublicSender

LIMITS = KeyLimits(parse_rate("1/second"), parse_rate("1/second"), 1, 1)


@pytest.fixture
def sender() -> PublicSender:
    return PublicSender()


@pytest.fixture
def service(database: Database, sender: PublicSender, dispatcher: RecordingDispatcher) -> WebhookService:
    return WebhookService(database, sender, dispatcher)


@pytest.fixture
def endpoint(service: WebhookService, owner: UUID) -> Endpoint:
    return service.create(owner, URL)[0]


def secrets_of(database: Database, owner: UUID) -> list[Any]:
    with database.transaction() as connection:
        return list(connection.execute(select(WebhookSecret.secret).where(WebhookSecret.api_key_id == owner)).scalars())


def test_an_endpoint_is_told_everything_unless_it_wants_less(service: WebhookService, owner: UUID) -> None:
    endpoint, secret = service.create(owner, "https://hooks.example.com")
    assert endpoint.url == "https://hooks.example.com/"
    assert endpoint.events == [kind.value for kind in SUBSCRIBABLE]
    assert (endpoint.source, endpoint.description, endpoint.disabled_at) == ("api", None, None)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret.secret)
    assert secret.secret not in repr(secret)
    some = ["response.failed", "response.completed", "response.failed"]
    assert service.create(owner, URL, some, "d")[0].events == ["response.completed", "response.failed"]
    assert service.get(owner, endpoint.id) == endpoint


def test_a_url_that_is_not_allowed_makes_nothing(
    service: WebhookService, sender: PublicSender, owner: UUID, endpoint: Endpoint
) -> None:
    sender.inside.add("inside.example.com")
    for url, wanted in (
        ("http://x.example", "invalid_webhook_url"),
        ("https://inside.example.com", "webhook_url_not_allowed"),
    ):
        for act in (
            lambda url=url: service.create(owner, url),
            lambda url=url: service.update(owner, endpoint.id, {"url": url}),
        ):
            with pytest.raises(InvalidRequestError) as caught:
                act()
            assert code(caught) == (wanted, "url")
    sender.up = False
    with pytest.raises(UnavailableError):
        service.create(owner, URL)
    assert service.page(owner, EndpointFilter(10)) == ([endpoint], False)


def test_a_key_may_have_so_many(service: WebhookService, owner: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_ENDPOINTS", 2)
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(service.create, owner, URL) for _ in range(8)]
    refused = [error for one in made if (error := one.exception())]
    assert len(refused) == 6
    assert {getattr(error, "error_code", None) for error in refused} == {"too_many_webhook_endpoints"}
    assert len(service.page(owner, EndpointFilter(10))[0]) == 2


def test_a_list_has_pages_in_either_order(service: WebhookService, owner: UUID, database: Database) -> None:
    made = [service.create(owner, URL)[0] for _ in range(3)]
    with database.transaction() as connection:
        lane = webhook_endpoints.use_lane(connection, owner, "https://hooks.example.com:443")
    assert [e.id for e in service.page(owner, EndpointFilter(10))[0]] == [lane, *(e.id for e in reversed(made))]
    assert service.page(owner, EndpointFilter(2, "asc", source="api")) == (made[:2], True)
    assert service.page(owner, EndpointFilter(2, "asc", after=made[1].id, source="api")) == (made[2:], False)
    assert service.page(owner, EndpointFilter(1, "desc", after=made[2].id)) == ([made[1]], True)
    with pytest.raises(InvalidRequestError) as caught:
        service.page(owner, EndpointFilter(1, after=new_id()))
    assert code(caught) == ("invalid_value", "after")


def test_an_update_changes_what_it_names_alone(service: WebhookService, owner: UUID, database: Database) -> None:
    endpoint = service.create(owner, URL, ["response.failed"], "d")[0]
    change(database, endpoint, consecutive_failures=6, failing_since=rows.EARLIER, open_until=rows.LATER)
    failing = service.update(owner, endpoint.id, {"description": None, "events": ["response.cancelled"]})
    assert (failing.url, failing.description, failing.events) == (URL, None, ["response.cancelled"])
    assert failing.failing_since
    moved = service.update(owner, endpoint.id, {"url": f"{URL}/new"})
    assert (moved.url, moved.events, moved.failing_since) == (f"{URL}/new", ["response.cancelled"], None)
    assert service.update(owner, endpoint.id, {}) == moved


def test_disabling_keeps_the_first_reason_and_enabling_forgets_the_failures(
    service: WebhookService, owner: UUID, database: Database, endpoint: Endpoint
) -> None:
    off = service.update(owner, endpoint.id, {}, enabled=False)
    assert off.disabled_reason is DisabledReason.OWNER
    change(database, endpoint, disabled_reason="gone", consecutive_failures=6, failing_since=rows.EARLIER)
    assert service.update(owner, endpoint.id, {}, enabled=False).disabled_reason is DisabledReason.GONE
    assert service.update(owner, endpoint.id, {}, enabled=True) == endpoint


def test_deleting_takes_everything_along(
    service: WebhookService, owner: UUID, database: Database, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "BATCH", 2)
    for _ in range(5):
        deliver(database, endpoint.id)
    service.delete(owner, endpoint.id)
    assert secrets_of(database, owner) == []
    with database.transaction() as connection:
        left = select(DELIVERIES.c.event_id).where(DELIVERIES.c.endpoint_id == endpoint.id)
        assert connection.execute(left).all() == []
    with pytest.raises(NotFoundError):
        service.get(owner, endpoint.id)


def test_two_secrets_sign_during_a_rotation_and_no_more(
    service: WebhookService, owner: UUID, database: Database
) -> None:
    endpoint, first = service.create(owner, URL)
    second = service.rotate_secret(owner, endpoint.id, overlap=600)
    assert second.previous_expires_at
    assert second.previous_expires_at - second.created_at == timedelta(seconds=600)
    assert set(secrets_of(database, owner)) == {first.secret, second.secret}
    third = service.rotate_secret(owner, endpoint.id, overlap=600)
    assert set(secrets_of(database, owner)) == {second.secret, third.secret}
    fourth = service.rotate_secret(owner, endpoint.id, overlap=0)
    assert fourth.previous_expires_at is None
    with database.transaction() as connection:
        known = webhook_secrets.get(connection, owner, endpoint.id)
    assert known
    assert (known.secret, known.previous_expires_at) == (fourth.secret, None)


def test_the_keys_own_secret_is_made_once_and_is_nobody_elses(
    service: WebhookService, owner: UUID, database: Database
) -> None:
    with database.transaction() as connection:
        other = rows.add_owner(connection)
    first = service.key_secret(owner)
    assert service.key_secret(owner) == first
    assert service.key_secret(other).secret != first.secret
    rotated = service.rotate_key_secret(owner, overlap=600)
    assert rotated.secret != first.secret
    assert service.key_secret(owner) == rotated


def test_secrets_are_sealed_where_there_is_a_key(database_url: str, dispatcher: RecordingDispatcher) -> None:
    with connected(database_url, "a") as sealing:
        with sealing.transaction() as connection:
            owner = rows.add_owner(connection)
        service = WebhookService(sealing, PublicSender(), dispatcher)
        endpoint, secret = service.create(owner, URL)
        stored = secrets_of(sealing, owner)
        assert stored[0].startswith("sealed1:a:")
        assert service.rotate_secret(owner, endpoint.id, overlap=5).secret != secret.secret
        assert service.key_secret(owner).secret.startswith("whsec_")
    with connected(database_url, "b") as other, pytest.raises(UnavailableError):
        WebhookService(other, PublicSender(), dispatcher).key_secret(owner)


def test_what_came_with_jobs_can_be_looked_at_alone(service: WebhookService, owner: UUID, database: Database) -> None:
    with database.transaction() as connection:
        lane = webhook_endpoints.use_lane(connection, owner, "https://hooks.example.com:443")
    endpoint = service.get(owner, lane)
    assert (endpoint.source, endpoint.events) == ("job", [])
    for act in (
        lambda: service.update(owner, lane, {}, enabled=False),
        lambda: service.delete(owner, lane),
        lambda: service.rotate_secret(owner, lane, overlap=5),
        lambda: service.test(owner, lane),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            act()
        assert code(caught) == ("webhook_endpoint_read_only", None)
    assert service.get(owner, lane) == endpoint
    assert service.replay(owner, lane, deliver(database, endpoint.id)).status == "pending"


def test_revoking_a_key_ends_its_endpoints(
    service: WebhookService, owner: UUID, database: Database, endpoint: Endpoint
) -> None:
    with database.transaction() as connection:
        other = rows.add_owner(connection)
        lane = webhook_endpoints.use_lane(connection, owner, "https://hooks.example.com:443")
    theirs, _ = service.create(other, URL)
    gone = service.create(owner, URL)[0]
    change(database, gone, disabled_at=rows.EARLIER, disabled_reason="gone")
    KeyService(database, 0, LIMITS).revoke(owner)
    for known in (endpoint.id, lane):
        assert service.get(owner, known).disabled_reason is DisabledReason.KEY_REVOKED
    assert service.get(owner, gone.id).disabled_reason is DisabledReason.GONE
    assert service.get(other, theirs.id) == theirs
    # A process may still let the key in.
    for act in (
        lambda: service.create(owner, URL),
        lambda: service.update(owner, endpoint.id, {}, enabled=True),
        lambda: service.rotate_key_secret(owner, overlap=5),
    ):
        with pytest.raises(InvalidKeyError):
            act()
    assert service.get(owner, endpoint.id).disabled_at
