"""One try after the other: signed, sent, settled, made again or not, and told of in the log."""

import json
import logging
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from app.adapters.webhook_sender import HttpWebhookSender
from app.db.engine import Database
from app.domain.ids import ENDPOINT, EVENT, prefixed
from app.domain.webhook_addresses import parse_networks
from app.domain.webhook_sending import Reply
from app.services.deliveries import DeliveryService
from tests import deliveries, rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.webhook_sender import OK, SECRET, SETTINGS, ScriptedSender, fail, put, statuses
from tests.webhook_receiver import Answer, Receiver


def test_all_that_is_due_arrives_signed(database: Database, endpoint_id: UUID, dispatcher: RecordingDispatcher) -> None:
    events = put(database, endpoint_id, 3)
    with Receiver() as receiver:
        with database.transaction() as connection:
            deliveries.change_endpoint(connection, endpoint_id, url=receiver.url("/hook"))
        sender = HttpWebhookSender(parse_networks("127.0.0.0/8"), timeout=10)
        DeliveryService(database, sender, dispatcher, SETTINGS).drain(endpoint_id)

    assert statuses(database, endpoint_id, events) == ["delivered"] * 3
    told = [Webhook(SECRET).verify(one.body, dict(one.headers)) for one in receiver.requests]
    assert [one["id"] for one in told] == [prefixed(EVENT, event_id) for event_id in events]
    assert [one.headers["webhook-id"] for one in receiver.requests] == [one["id"] for one in told]
    assert {(one["type"], one["object"]) for one in told} == {("response.completed", "event")}


def test_a_try_that_fails_is_made_again_later_with_the_same_id_and_body(
    service: DeliveryService, database: Database, endpoint_id: UUID, sender: ScriptedSender
) -> None:
    [event_id] = put(database, endpoint_id)
    sender.act = fail
    service.drain(endpoint_id)
    service.drain(endpoint_id)
    assert len(sender.sent) == 1

    with database.transaction() as connection:
        found = deliveries.row(connection, endpoint_id, event_id)
        [made] = deliveries.tries(connection, endpoint_id, event_id)
        assert (found.failures, made.error) == (1, "connect_failed")
        deliveries.change(connection, endpoint_id, event_id, next_attempt_at=rows.NOW)
    sender.act = lambda: OK
    service.drain(endpoint_id)

    (_, first, body), (_, second, same) = sender.sent
    assert (first["webhook-id"], body) == (second["webhook-id"], same)
    assert statuses(database, endpoint_id, [event_id]) == ["delivered"]


@pytest.mark.parametrize(("retry_after", "wait"), [(None, (4, 6)), (120.0, (115, 121)), (1e9, (35_900, 36_001))])
def test_the_endpoint_may_ask_for_more_time(
    service: DeliveryService,
    database: Database,
    endpoint_id: UUID,
    sender: ScriptedSender,
    retry_after: float | None,
    wait: tuple[float, float],
) -> None:
    [event_id] = put(database, endpoint_id)
    sender.act = lambda: Reply(503, retry_after, b"", 0.01)

    service.drain(endpoint_id)

    with database.transaction() as connection:
        found = deliveries.row(connection, endpoint_id, event_id)
        failed_at = deliveries.endpoint(connection, endpoint_id).failing_since
    assert wait[0] <= (found.next_attempt_at - failed_at).total_seconds() <= wait[1]


def test_the_seventh_failure_is_the_last(
    service: DeliveryService, database: Database, endpoint_id: UUID, sender: ScriptedSender
) -> None:
    sender.act = fail
    with database.transaction() as connection:
        events = [deliveries.put(connection, endpoint_id, failures=failures) for failures in (5, 6)]

    service.drain(endpoint_id)

    assert statuses(database, endpoint_id, events) == ["pending", "failed"]


def test_a_bug_at_one_delivery_counts_as_a_failure(
    service: DeliveryService, database: Database, endpoint_id: UUID, sender: ScriptedSender
) -> None:
    events = put(database, endpoint_id, 2)

    def fall_once() -> Reply:
        if len(sender.sent) == 1:
            raise ZeroDivisionError
        return OK

    sender.act = fall_once
    service.drain(endpoint_id)

    assert statuses(database, endpoint_id, events) == ["pending", "delivered"]
    with database.transaction() as connection:
        assert deliveries.tries(connection, endpoint_id, events[0])[0].error == "server_error"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 429, 500])
def test_only_a_2xx_is_a_success(
    service: DeliveryService, database: Database, endpoint_id: UUID, sender: ScriptedSender, status: int
) -> None:
    events = put(database, endpoint_id)
    sender.act = lambda: Reply(status, None, b"", 0.01)

    service.drain(endpoint_id)

    assert statuses(database, endpoint_id, events) == ["pending"]


def test_a_redirect_is_followed_by_nobody(
    database: Database, endpoint_id: UUID, dispatcher: RecordingDispatcher
) -> None:
    events = put(database, endpoint_id)
    with Receiver() as target, Receiver() as receiver:
        receiver.answer(Answer(307, {"Location": target.url("/")}))
        with database.transaction() as connection:
            deliveries.change_endpoint(connection, endpoint_id, url=receiver.url("/hook"))
        sender = HttpWebhookSender(parse_networks("127.0.0.0/8"), timeout=10)
        DeliveryService(database, sender, dispatcher, SETTINGS).drain(endpoint_id)

    assert (len(receiver.requests), target.connections) == (1, 0)
    assert statuses(database, endpoint_id, events) == ["pending"]


def test_each_try_is_one_line_without_the_url_or_what_came_back(
    service: DeliveryService,
    database: Database,
    endpoint_id: UUID,
    sender: ScriptedSender,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    events = put(database, endpoint_id, 2)
    sender.act = lambda: Reply(410 if len(sender.sent) > 1 else 200, None, b"canary", 0.25)

    service.drain(endpoint_id)

    own = [one for one in caplog.records if one.name == "app.services.deliveries"]
    tried = [vars(one)["fields"] for one in own if one.levelno == logging.INFO]
    assert tried == [
        {
            "event_id": prefixed(EVENT, event_id),
            "endpoint_id": prefixed(ENDPOINT, endpoint_id),
            "attempt": 1,
            "status": status,
            "latency": 0.25,
            "delivery": delivery,
        }
        for event_id, status, delivery in zip(events, (200, 410), ("delivered", "failed"), strict=True)
    ]
    assert [one.message for one in own if one.levelno == logging.WARNING] == ["webhook endpoint disabled"]
    said = json.dumps([str(vars(one)) for one in caplog.records])
    assert "canary" not in said
    assert SECRET not in said
