"""Deliveries as their owner sees them: pages, tries, tests, and replays."""

from uuid import UUID

import pytest
from sqlalchemy import text

from app.db.engine import Database
from app.db.webhook_claims import claim
from app.db.webhook_deliveries import DeliveryFilter, add_test, get, page, replay, replay_failed
from app.db.webhook_settling import settle
from app.domain.ids import ENDPOINT, new_id, prefixed
from app.domain.webhook_tries import Tried, TryLimits
from app.domain.webhooks import DeliveryFailure, DeliveryStatus, EventType
from tests import deliveries, rows

LIMITS = TryLimits(retention=3_600, disable_after=86_400)


@pytest.fixture
def endpoint_id(database: Database, owner: UUID) -> UUID:
    """A healthy endpoint."""
    with database.transaction() as connection:
        return deliveries.add_endpoint(connection, owner)


def test_pages_go_from_the_newest_event_to_the_oldest(database: Database, owner: UUID, endpoint_id: UUID) -> None:
    with database.transaction() as connection:
        made = sorted((deliveries.put(connection, endpoint_id) for _ in range(5)), reverse=True)
        deliveries.put(connection, deliveries.add_endpoint(connection, owner))

        first, more = page(connection, endpoint_id, DeliveryFilter(limit=3))
        rest, no_more = page(connection, endpoint_id, DeliveryFilter(limit=3, after=first[-1].event_id))
        all_of_them, neither = page(connection, endpoint_id, DeliveryFilter(limit=5))

    assert [one.event_id for one in first + rest] == [one.event_id for one in all_of_them] == made
    assert (more, no_more, neither) == (True, False, False)


def test_a_page_of_one_status(database: Database, endpoint_id: UUID) -> None:
    with database.transaction() as connection:
        made = {status: deliveries.put(connection, endpoint_id, status) for status in DeliveryStatus}
        for status, event_id in made.items():
            found, more = page(connection, endpoint_id, DeliveryFilter(limit=3, status=status))
            assert [(one.event_id, one.status, more) for one in found] == [(event_id, status, False)]


def test_one_delivery_shows_its_tries(database: Database, endpoint_id: UUID) -> None:
    with database.transaction() as connection:
        event_id = deliveries.put(connection, endpoint_id)
        for tried in (Tried(2.5, error="timeout"), Tried(0.5, 200, reply=b"\x00ok")):
            deliveries.change(connection, endpoint_id, event_id, next_attempt_at=rows.EARLIER)
            held = claim(connection, endpoint_id, concurrency=1)
            assert held is not None
            settle(connection, held.claim, tried, retry_in=5, limits=LIMITS)

        found = get(connection, endpoint_id, event_id)

    assert found is not None
    assert (found.status, found.attempt, found.type) == (DeliveryStatus.DELIVERED, 2, EventType.COMPLETED)
    shown = [(one.number, one.duration, one.status_code, one.error, one.reply) for one in found.attempts]
    assert shown == [(1, 2.5, None, "timeout", None), (2, 0.5, 200, None, b"\x00ok")]


def test_nobody_finds_what_goes_to_another_endpoint(database: Database, owner: UUID, endpoint_id: UUID) -> None:
    with database.transaction() as connection:
        other = deliveries.add_endpoint(connection, owner)
        event_id = deliveries.put(connection, other, DeliveryStatus.FAILED)

        assert get(connection, endpoint_id, event_id) is None
        assert not replay(connection, endpoint_id, event_id)
        assert (
            replay_failed(connection, endpoint_id, since=connection.execute(text("SELECT now()")).scalar_one(), limit=9)
            == 0
        )


def test_a_test_event_is_about_its_endpoint(database: Database, endpoint_id: UUID) -> None:
    event_id = new_id()
    with database.transaction() as connection:
        add_test(connection, endpoint_id, event_id)
        held = claim(connection, endpoint_id, concurrency=1)

    assert held is not None
    assert (held.claim.event_id, held.claim.type) == (event_id, EventType.TEST)
    assert held.claim.data_id == prefixed(ENDPOINT, endpoint_id)


@pytest.mark.parametrize("status", [DeliveryStatus.DELIVERED, DeliveryStatus.FAILED])
def test_what_has_ended_is_sent_once_more_with_all_its_tries(
    database: Database, endpoint_id: UUID, status: DeliveryStatus
) -> None:
    with database.transaction() as connection:
        old = {"attempt": 7, "failures": 7, "give_up_at": rows.EARLIER}
        event_id = deliveries.put(connection, endpoint_id, status, **old)

        assert replay(connection, endpoint_id, event_id)
        found = deliveries.row(connection, endpoint_id, event_id)
        held = claim(connection, endpoint_id, concurrency=1)

    assert (found.status, found.failures, found.attempt) == (DeliveryStatus.PENDING, 0, 7)
    assert (found.ended_at, found.expires_at, found.failure) == (None, None, None)
    assert (found.give_up_at - found.next_attempt_at).days == 2
    assert held is not None
    assert (held.claim.event_id, held.claim.attempt) == (event_id, 8)


@pytest.mark.parametrize("status", [DeliveryStatus.PENDING, DeliveryStatus.IN_PROGRESS])
def test_what_is_under_way_is_not(database: Database, endpoint_id: UUID, status: DeliveryStatus) -> None:
    with database.transaction() as connection:
        event_id = deliveries.put(connection, endpoint_id, status)

        assert not replay(connection, endpoint_id, event_id)
        assert deliveries.row(connection, endpoint_id, event_id).status == status


def test_all_that_failed_since_a_time_is_replayed_in_batches(database: Database, endpoint_id: UUID) -> None:
    with database.transaction() as connection:
        since = connection.execute(text("SELECT now()")).scalar_one()
        failed = [deliveries.put(connection, endpoint_id, DeliveryStatus.FAILED) for _ in range(5)]
        before = text("now() - interval '1 s'")
        old = deliveries.put(connection, endpoint_id, DeliveryStatus.FAILED, ended_at=before)
        fine = deliveries.put(connection, endpoint_id, DeliveryStatus.DELIVERED)

        counts = [replay_failed(connection, endpoint_id, since=since, limit=2) for _ in range(4)]

        assert counts == [2, 2, 1, 0]
        found = [deliveries.row(connection, endpoint_id, event_id).status for event_id in [*failed, old, fine]]
    assert found == ["pending"] * 5 + ["failed", "delivered"]


def test_a_dead_letter_says_why(database: Database, endpoint_id: UUID) -> None:
    with database.transaction() as connection:
        event_id = deliveries.put(connection, endpoint_id, DeliveryStatus.FAILED, failure="too_old")
        found = get(connection, endpoint_id, event_id)

    assert found is not None
    assert found.failure is DeliveryFailure.TOO_OLD
