"""Test events, lists of deliveries, and what is sent once more, on a real database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.db.engine import Database
from app.domain.errors import IllegalMoveError, InvalidRequestError
from app.domain.ids import new_id
from app.domain.webhooks import Endpoint
from app.services import webhooks
from app.services.webhooks import DeliveryFilter, WebhookService
from tests import rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.endpoints import URL, code, deliver
from tests.integration.services.public_sender import PublicSender


@pytest.fixture
def service(database: Database, dispatcher: RecordingDispatcher) -> WebhookService:
    return WebhookService(database, PublicSender(), dispatcher)


@pytest.fixture
def endpoint(service: WebhookService, owner: UUID) -> Endpoint:
    return service.create(owner, URL)[0]


def test_a_test_event_is_on_its_way_at_once(
    service: WebhookService, owner: UUID, endpoint: Endpoint, dispatcher: RecordingDispatcher
) -> None:
    sent = service.test(owner, endpoint.id)
    assert (sent.type, sent.status, sent.data_id) == ("webhook.test", "pending", f"whe_{endpoint.id.hex}")
    assert service.delivery(owner, endpoint.id, sent.event_id) == sent
    assert dispatcher.delivered == [endpoint.id]


def test_deliveries_are_listed_newest_first(
    service: WebhookService, owner: UUID, database: Database, endpoint: Endpoint
) -> None:
    ids = [deliver(database, endpoint.id, status) for status in ("failed", "delivered", "failed")]
    found, has_more = service.deliveries(owner, endpoint.id, DeliveryFilter(2))
    assert ([one.event_id for one in found], has_more) == (ids[:0:-1], True)
    found, has_more = service.deliveries(owner, endpoint.id, DeliveryFilter(2, after=ids[1]))
    assert ([one.event_id for one in found], has_more) == (ids[:1], False)
    with pytest.raises(InvalidRequestError) as caught:
        service.deliveries(owner, endpoint.id, DeliveryFilter(2, after=new_id()))
    assert code(caught) == ("invalid_value", "after")


def test_what_has_ended_is_replayed_and_nothing_else(
    service: WebhookService, owner: UUID, database: Database, endpoint: Endpoint, dispatcher: RecordingDispatcher
) -> None:
    for status in ("failed", "delivered"):
        event_id = deliver(database, endpoint.id, status)
        again = service.replay(owner, endpoint.id, event_id)
        assert (again.event_id, again.status, again.failure) == (event_id, "pending", None)
        assert dispatcher.delivered.pop() == endpoint.id
        with pytest.raises(IllegalMoveError):
            service.replay(owner, endpoint.id, event_id)
    assert dispatcher.delivered == []


def test_all_that_failed_since_a_time_is_replayed_up_to_a_limit(
    service: WebhookService,
    owner: UUID,
    database: Database,
    endpoint: Endpoint,
    dispatcher: RecordingDispatcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhooks, "BATCH", 2)
    monkeypatch.setattr(webhooks, "MAX_REPLAYED", 4)
    deliver(database, endpoint.id, ended_at=rows.EARLIER)
    deliver(database, endpoint.id, "delivered")
    for _ in range(5):
        deliver(database, endpoint.id)
    since = datetime.now(UTC) - timedelta(minutes=30)
    first = service.replay_failed(owner, endpoint.id, since=since)
    assert (first.count, first.has_more) == (4, True)
    second = service.replay_failed(owner, endpoint.id, since=since)
    assert (second.count, second.has_more) == (1, False)
    assert service.replay_failed(owner, endpoint.id, since=since).count == 0
    assert dispatcher.delivered == [endpoint.id] * 2


def test_a_disabled_endpoint_is_sent_nothing(
    service: WebhookService, owner: UUID, database: Database, endpoint: Endpoint, dispatcher: RecordingDispatcher
) -> None:
    event_id = deliver(database, endpoint.id)
    service.update(owner, endpoint.id, {}, enabled=False)
    since = datetime.now(UTC) - timedelta(hours=1)
    for act in (
        lambda: service.test(owner, endpoint.id),
        lambda: service.replay(owner, endpoint.id, event_id),
        lambda: service.replay_failed(owner, endpoint.id, since=since),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            act()
        assert code(caught) == ("webhook_endpoint_disabled", None)
    assert service.delivery(owner, endpoint.id, event_id).status == "failed"
    assert dispatcher.delivered == []
