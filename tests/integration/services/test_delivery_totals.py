"""What the exporter adds up of webhook deliveries: each end once, and for ever."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.db import webhook_deliveries
from app.db.engine import Database
from app.domain.webhooks import DeliveryStatus
from app.services import metrics as service
from app.services.deliveries import DeliveryService
from app.services.metrics import MetricsService
from app.services.webhook_maintenance import WebhookMaintenance
from app.upstreams.catalog import Catalog
from tests import deliveries, rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.webhook_sender import SETTINGS, ScriptedSender, put
from tests.processes import wait_until

DELIVERED, FAILED = DeliveryStatus.DELIVERED, DeliveryStatus.FAILED
CATALOG = Catalog.model_validate(
    {"upstreams": {"mock": {"base_url": "http://127.0.0.1/v1"}}, "models": {"*": {"upstream": "mock"}}}
)
LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)
LATER = LONG_AGO + timedelta(hours=1)


@pytest.fixture
def database(own_database: Database) -> Database:
    """A test's own: what is added up is added up for the whole database."""
    return own_database


@pytest.fixture
def metrics(database: Database) -> MetricsService:
    return MetricsService(database, CATALOG)


@pytest.fixture
def endpoint_id(database: Database, owner: UUID) -> UUID:
    with database.transaction() as connection:
        return deliveries.add_endpoint(connection, owner)


def end(database: Database, endpoint_id: UUID, status: DeliveryStatus, **columns: object) -> UUID:
    """A delivery that ended LONG_AGO, if nothing else is said."""
    with database.transaction() as connection:
        return deliveries.put(connection, endpoint_id, status, **{"ended_at": LONG_AGO, **columns})


def test_an_end_is_counted_once_by_its_outcome(metrics: MetricsService, database: Database, endpoint_id: UUID) -> None:
    for _ in range(2):
        end(database, endpoint_id, DELIVERED)
    end(database, endpoint_id, FAILED)
    end(database, endpoint_id, FAILED, failure="endpoint_gone")
    put(database, endpoint_id)
    assert [metrics.count(), metrics.count()] == [4, 0]
    assert metrics.look().delivered == {"delivered": 2, "attempts_exhausted": 1, "endpoint_gone": 1}


def test_what_is_purged_stays_counted_and_a_replay_ends_once_more(
    metrics: MetricsService, database: Database, endpoint_id: UUID
) -> None:
    end(database, endpoint_id, DELIVERED, expires_at=rows.EARLIER)
    kept = end(database, endpoint_id, FAILED)
    assert metrics.count() == 2
    assert WebhookMaintenance(database, RecordingDispatcher(), SETTINGS).purge() == 1
    with database.transaction() as connection:
        assert webhook_deliveries.replay(connection, endpoint_id, kept)
        again = {**deliveries.OF_STATUS[DELIVERED], "status": "delivered", "next_attempt_at": None}
        deliveries.change(connection, endpoint_id, kept, **again | {"ended_at": LATER})
    assert metrics.count() == 1
    assert metrics.look().delivered == {"delivered": 2, "attempts_exhausted": 1}


def test_batches_neither_leave_out_nor_count_twice(
    metrics: MetricsService, database: Database, endpoint_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    for _ in range(5):
        end(database, endpoint_id, DELIVERED)
    end(database, endpoint_id, FAILED, ended_at=LATER)
    assert [metrics.count(), metrics.count()] == [6, 0]


def test_what_a_worker_delivers_is_counted(metrics: MetricsService, database: Database, endpoint_id: UUID) -> None:
    put(database, endpoint_id, 3)
    DeliveryService(database, ScriptedSender(), RecordingDispatcher(), SETTINGS).drain(endpoint_id)
    counted = 0

    def all_counted() -> bool:
        nonlocal counted
        counted += metrics.count()
        return counted == 3

    # What has ended within the last second may have company yet.
    wait_until(all_counted, 30, "they are counted")
    assert metrics.look().delivered == {"delivered": 3}
