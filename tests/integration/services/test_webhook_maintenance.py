"""The sweep and the purge of webhooks, as the system worker calls them."""

from typing import Any
from uuid import UUID

import pytest

from app.db.engine import Database
from app.domain.webhooks import DeliveryStatus
from app.services import webhook_maintenance
from app.services.webhook_maintenance import WebhookMaintenance, WebhookSweepReport
from app.settings import Settings
from tests import deliveries, rows
from tests.integration.services.dispatcher import RecordingDispatcher

SETTINGS = Settings(retention=3_600, purge_batch=2)


@pytest.fixture
def owner_id(own_database: Database) -> UUID:
    """Somebody who owns endpoints."""
    with own_database.transaction() as connection:
        return rows.add_owner(connection)


@pytest.fixture
def service(own_database: Database, dispatcher: RecordingDispatcher) -> WebhookMaintenance:
    return WebhookMaintenance(own_database, dispatcher, SETTINGS)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows at a time."""
    monkeypatch.setattr(webhook_maintenance, "BATCH", 2)


@pytest.mark.usefixtures("small_batches")
def test_a_sweep_moves_all_that_nobody_else_moves(
    service: WebhookMaintenance, own_database: Database, owner_id: UUID, dispatcher: RecordingDispatcher
) -> None:
    with own_database.transaction() as connection:
        gone: dict[str, Any] = {"disabled_at": rows.NOW, "disabled_reason": "gone"}
        due, lost, old = (deliveries.add_endpoint(connection, owner_id) for _ in range(3))
        disabled = deliveries.add_endpoint(connection, owner_id, **gone)
        for _ in range(3):
            deliveries.put(connection, due)
            deliveries.put(connection, lost, DeliveryStatus.IN_PROGRESS, lease_expires_at=rows.EARLIER)
            deliveries.put(connection, old, give_up_at=rows.EARLIER)
            deliveries.put(connection, disabled)

    assert service.sweep() == WebhookSweepReport(taken_back=3, given_up=6, hinted=2)

    assert dispatcher.delivered == sorted([due, lost])
    assert service.sweep() == WebhookSweepReport(hinted=2)


def test_a_broker_that_takes_nothing_is_asked_again_by_the_next_sweep(
    service: WebhookMaintenance, own_database: Database, owner_id: UUID, dispatcher: RecordingDispatcher
) -> None:
    with own_database.transaction() as connection:
        deliveries.put(connection, deliveries.add_endpoint(connection, owner_id))
    dispatcher.up = False
    assert service.sweep().hinted == 0

    dispatcher.up = True
    assert service.sweep().hinted == 1


def test_a_purge_deletes_in_batches(service: WebhookMaintenance, own_database: Database, owner_id: UUID) -> None:
    with own_database.transaction() as connection:
        endpoint_id = deliveries.add_endpoint(connection, owner_id)
        for _ in range(5):
            deliveries.put(connection, endpoint_id, DeliveryStatus.DELIVERED, expires_at=rows.EARLIER)
        kept = deliveries.put(connection, endpoint_id, DeliveryStatus.FAILED)

    assert service.purge() == 5

    with own_database.transaction() as connection:
        assert {event_id for event_id, _ in deliveries.events(connection, endpoint_id)} == {kept}
