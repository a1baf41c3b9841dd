"""Draining an endpoint: with how many others, for how long, and what becomes of the delivery in hand."""

from uuid import UUID

import pytest

from app.db.engine import Database
from app.domain.errors import UnavailableError
from app.domain.webhook_sending import Reply
from app.services.deliveries import DRAIN_DELIVERIES, DRAIN_TIME, DeliveryService
from tests import deliveries
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.webhook_sender import OK, SETTINGS, ScriptedSender, put, statuses
from tests.statements import after_first


class Leaving(BaseException):
    """As a worker's that is about to exit."""


def test_others_are_asked_to_help_once_and_only_if_there_is_more(
    service: DeliveryService, database: Database, endpoint_id: UUID, dispatcher: RecordingDispatcher
) -> None:
    put(database, endpoint_id)
    service.drain(endpoint_id)
    assert dispatcher.delivered == []

    put(database, endpoint_id, 5)
    service.drain(endpoint_id)
    assert dispatcher.delivered == [endpoint_id]


def test_a_long_queue_is_left_to_another_message(
    service: DeliveryService,
    database: Database,
    endpoint_id: UUID,
    sender: ScriptedSender,
    dispatcher: RecordingDispatcher,
) -> None:
    put(database, endpoint_id, DRAIN_DELIVERIES + 1)

    service.drain(endpoint_id)

    assert len(sender.sent) == DRAIN_DELIVERIES
    assert dispatcher.delivered == [endpoint_id, endpoint_id]


def test_so_is_what_would_take_too_long(
    database: Database, endpoint_id: UUID, sender: ScriptedSender, dispatcher: RecordingDispatcher
) -> None:
    put(database, endpoint_id, 5)

    def clock() -> float:
        return DRAIN_TIME * len(sender.sent) / 2

    DeliveryService(database, sender, dispatcher, SETTINGS, clock).drain(endpoint_id)

    assert len(sender.sent) == 2
    assert dispatcher.delivered == [endpoint_id, endpoint_id]


def test_no_connection_is_held_while_something_is_sent(
    service: DeliveryService, database: Database, endpoint_id: UUID, sender: ScriptedSender
) -> None:
    put(database, endpoint_id)
    held = []

    def look() -> Reply:
        held.append(database.in_use)
        return OK

    sender.act = look
    service.drain(endpoint_id)

    assert held == [0]


@pytest.mark.parametrize("during", ["send", "settle"])
def test_whoever_has_to_leave_hands_the_delivery_back(
    service: DeliveryService, database: Database, endpoint_id: UUID, sender: ScriptedSender, during: str
) -> None:
    [event_id] = put(database, endpoint_id)

    def leave() -> Reply:
        raise Leaving

    def drain() -> None:
        if during == "send":
            sender.act = leave
            service.drain(endpoint_id)
        else:
            with after_first(database, "INSERT INTO webhook_attempts", leave):
                service.drain(endpoint_id)

    with pytest.raises(Leaving):
        drain()

    with database.transaction() as connection:
        found = deliveries.row(connection, endpoint_id, event_id)
        [made] = deliveries.tries(connection, endpoint_id, event_id)
    assert (found.status, found.failures, made.error) == ("pending", 0, "worker_stopped")
    sender.act = lambda: OK
    service.drain(endpoint_id)
    assert statuses(database, endpoint_id, [event_id]) == ["delivered"]


def test_an_outage_after_the_reply_leaves_it_to_the_sweep(
    service: DeliveryService, database: Database, endpoint_id: UUID, sender: ScriptedSender
) -> None:
    events = put(database, endpoint_id, 2)

    def fall() -> None:
        raise UnavailableError("The database is not available.")

    with after_first(database, "INSERT INTO webhook_attempts", fall), pytest.raises(UnavailableError):
        service.drain(endpoint_id)

    assert len(sender.sent) == 1
    assert statuses(database, endpoint_id, events) == ["in_progress", "pending"]


def test_a_secret_that_does_not_open_is_told_and_nothing_is_sent_unsigned(
    service: DeliveryService,
    database: Database,
    owner: UUID,
    sender: ScriptedSender,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with database.transaction() as connection:
        endpoint_id = deliveries.add_endpoint(connection, owner, secret="sealed1:gone:AAAA")
        event_id = deliveries.put(connection, endpoint_id)

    service.drain(endpoint_id)
    service.drain(endpoint_id)

    assert sender.sent == []
    assert [one.message for one in caplog.records].count(
        "nothing is sent to a webhook endpoint, for its secret does not open: give this worker all keys of "
        "SIMMER_ENCRYPTION_KEYS, or rotate the secret"
    ) == 1
    with database.transaction() as connection:
        found = deliveries.row(connection, endpoint_id, event_id)
        waits = deliveries.endpoint(connection, endpoint_id).open_until - found.created_at
    assert (found.status, found.failures) == ("pending", 0)
    assert 300 <= waits.total_seconds() < 330
