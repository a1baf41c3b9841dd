"""An endpoint, and the service that delivers to it through a sender that does as it is told."""

from uuid import UUID

import pytest

from app.db.engine import Database
from app.services.deliveries import DeliveryService
from tests import deliveries
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.webhook_sender import SECRET, SETTINGS, ScriptedSender


@pytest.fixture
def sender() -> ScriptedSender:
    return ScriptedSender()


@pytest.fixture
def service(database: Database, sender: ScriptedSender, dispatcher: RecordingDispatcher) -> DeliveryService:
    return DeliveryService(database, sender, dispatcher, SETTINGS)


@pytest.fixture
def endpoint_id(database: Database, owner: UUID) -> UUID:
    """A healthy endpoint."""
    with database.transaction() as connection:
        return deliveries.add_endpoint(connection, owner, "https://example.com/hook?token=canary", secret=SECRET)
