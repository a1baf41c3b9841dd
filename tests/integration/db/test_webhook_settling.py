"""Ends of tries: what becomes of the delivery and of its endpoint, and that only its own worker settles it."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.db.engine import Database
from app.db.webhook_claims import claim, take_back
from app.db.webhook_settling import settle
from app.domain.webhook_tries import Settled, Tried, TryLimits
from app.domain.webhooks import DeliveryClaim, DeliveryFailure, DeliveryStatus, DisabledReason
from tests import deliveries, rows

OK = Tried(0.25, 204, reply=b"")
DOWN = Tried(1.5, error="connect_failed")
GONE = Tried(0.1, 410, reply=b"gone")
LIMITS = TryLimits(retention=3_600, disable_after=86_400)


@pytest.fixture
def endpoint_id(database: Database, owner: UUID) -> UUID:
    """A healthy endpoint of its owner's making."""
    with database.transaction() as connection:
        return deliveries.add_endpoint(connection, owner)


@pytest.fixture
def origin_id(database: Database, owner: UUID) -> UUID:
    """A healthy one that a job came with."""
    with database.transaction() as connection:
        return deliveries.add_endpoint(connection, owner, "https://example.com", source="job")


def held(database: Database, endpoint_id: UUID, **columns: Any) -> DeliveryClaim:
    with database.transaction() as connection:
        deliveries.put(connection, endpoint_id, **columns)
        found = claim(connection, endpoint_id, concurrency=100)
    assert found is not None
    return found.claim


def end(database: Database, mine: DeliveryClaim, tried: Tried, retry_in: float | None = 5) -> Settled | None:
    with database.transaction() as connection:
        return settle(connection, mine, tried, retry_in=retry_in, limits=LIMITS)


def delivery(database: Database, mine: DeliveryClaim) -> Any:
    with database.transaction() as connection:
        return deliveries.row(connection, mine.endpoint_id, mine.event_id)


def endpoint(database: Database, endpoint_id: UUID) -> Any:
    with database.transaction() as connection:
        return deliveries.endpoint(connection, endpoint_id)


def change(database: Database, endpoint_id: UUID, **columns: Any) -> None:
    with database.transaction() as connection:
        deliveries.change_endpoint(connection, endpoint_id, **columns)


def open_for(database: Database, endpoint_id: UUID) -> float:
    statement = text("SELECT extract(epoch FROM open_until - now())::float FROM webhook_endpoints WHERE id = :id")
    with database.transaction() as connection:
        found: float = connection.scalar(statement, {"id": endpoint_id}) or 0
    return found


@pytest.mark.parametrize("status", [200, 204, 299])
def test_a_reply_that_is_fine_ends_the_delivery(database: Database, endpoint_id: UUID, status: int) -> None:
    mine = held(database, endpoint_id)

    assert end(database, mine, replace(OK, status_code=status)) == Settled(DeliveryStatus.DELIVERED)

    found = delivery(database, mine)
    assert (found.status, found.failures, found.lease_expires_at) == (DeliveryStatus.DELIVERED, 0, None)
    assert (found.expires_at - found.ended_at).total_seconds() == LIMITS.retention
    with database.transaction() as connection:
        [made] = deliveries.tries(connection, endpoint_id, mine.event_id)
    assert (made.attempt, made.duration, made.status_code, made.error, made.reply) == (1, 0.25, status, None, b"")


@pytest.mark.parametrize("tried", [DOWN, Tried(1, 500), Tried(1, 301), Tried(1, 199), Tried(1, 404)])
def test_anything_else_is_tried_again(database: Database, endpoint_id: UUID, tried: Tried) -> None:
    mine = held(database, endpoint_id)

    assert end(database, mine, tried, retry_in=300) == Settled(DeliveryStatus.PENDING)

    found, suffered = delivery(database, mine), endpoint(database, endpoint_id)
    assert (found.status, found.failures, found.ended_at) == (DeliveryStatus.PENDING, 1, None)
    # Both are the time of the transaction that settled it.
    assert (found.next_attempt_at - suffered.failing_since).total_seconds() == 300
    assert (suffered.consecutive_failures, suffered.open_until, suffered.disabled_at) == (1, None, None)


def test_after_the_last_try_it_is_a_dead_letter(database: Database, endpoint_id: UUID) -> None:
    mine = held(database, endpoint_id, failures=6)

    settled = end(database, mine, DOWN, retry_in=None)

    assert settled == Settled(DeliveryStatus.FAILED, DeliveryFailure.ATTEMPTS_EXHAUSTED)
    found = delivery(database, mine)
    assert (found.status, found.failure, found.failures) == ("failed", "attempts_exhausted", 7)
    assert found.expires_at is not None


def test_an_endpoint_that_is_gone_is_disabled(database: Database, endpoint_id: UUID) -> None:
    mine = held(database, endpoint_id)

    settled = end(database, mine, GONE)

    assert settled == Settled(DeliveryStatus.FAILED, DeliveryFailure.ENDPOINT_GONE, DisabledReason.GONE)
    assert delivery(database, mine).failure == "endpoint_gone"
    assert endpoint(database, endpoint_id).disabled_reason == "gone"


def test_one_path_that_is_gone_says_nothing_of_the_server(database: Database, origin_id: UUID) -> None:
    mine = held(database, origin_id, url="https://example.com/hook")

    assert end(database, mine, GONE) == Settled(DeliveryStatus.FAILED, DeliveryFailure.ENDPOINT_GONE)

    found = endpoint(database, origin_id)
    assert (found.disabled_at, found.consecutive_failures) == (None, 0)


def test_the_circuit_opens_for_longer_and_longer(database: Database, endpoint_id: UUID) -> None:
    opened = []
    for _ in range(10):
        end(database, held(database, endpoint_id), DOWN)
        opened.append(round(open_for(database, endpoint_id)))
        change(database, endpoint_id, open_until=None)

    assert opened == [0, 0, 0, 0, 30, 60, 120, 240, 300, 300]


def test_what_was_under_way_when_it_opened_does_not_open_it_for_longer(database: Database, endpoint_id: UUID) -> None:
    together = [held(database, endpoint_id) for _ in range(8)]

    for mine in together:
        end(database, mine, DOWN)

    assert round(open_for(database, endpoint_id)) == 30
    assert endpoint(database, endpoint_id).consecutive_failures == 5


def test_one_success_closes_it(database: Database, endpoint_id: UUID) -> None:
    together = [held(database, endpoint_id) for _ in range(6)]
    for mine in together[1:]:
        end(database, mine, DOWN)

    end(database, together[0], OK)

    found = endpoint(database, endpoint_id)
    assert (found.consecutive_failures, found.failing_since, found.open_until) == (0, None, None)


FAILING = {"consecutive_failures": 40, "failing_since": text("now() - interval '25 hours'")}


def test_an_endpoint_that_fails_for_too_long_is_disabled(database: Database, endpoint_id: UUID) -> None:
    mine = held(database, endpoint_id)
    change(database, endpoint_id, **FAILING)

    assert end(database, mine, DOWN) == Settled(DeliveryStatus.PENDING, disabled=DisabledReason.FAILING)

    assert endpoint(database, endpoint_id).disabled_reason == "failing"


def test_one_that_failed_long_ago_for_a_shorter_time_is_not(database: Database, endpoint_id: UUID) -> None:
    mine = held(database, endpoint_id)
    change(database, endpoint_id, **{**FAILING, "failing_since": text("now() - interval '23 hours'")})

    assert end(database, mine, DOWN) == Settled(DeliveryStatus.PENDING)


def test_one_that_jobs_came_with_is_never_disabled(database: Database, origin_id: UUID) -> None:
    mine = held(database, origin_id)
    change(database, origin_id, **FAILING)

    assert end(database, mine, DOWN) == Settled(DeliveryStatus.PENDING)

    assert endpoint(database, origin_id).disabled_at is None


def test_why_its_owner_disabled_it_is_not_overwritten(database: Database, endpoint_id: UUID) -> None:
    mine = held(database, endpoint_id)
    change(database, endpoint_id, disabled_at=rows.NOW, disabled_reason="disabled_by_owner")

    assert end(database, mine, GONE) == Settled(DeliveryStatus.FAILED, DeliveryFailure.ENDPOINT_GONE)

    assert endpoint(database, endpoint_id).disabled_reason == "disabled_by_owner"


@pytest.mark.parametrize("tried", [OK, DOWN, GONE])
def test_who_has_lost_a_delivery_changes_nothing(own_database: Database, tried: Tried) -> None:
    with own_database.transaction() as connection:
        endpoint_id = deliveries.add_endpoint(connection, rows.add_owner(connection))
    lost = held(own_database, endpoint_id)
    with own_database.transaction() as connection:
        columns = {"consecutive_failures": 2, "failing_since": rows.EARLIER}
        deliveries.change_endpoint(connection, endpoint_id, **columns)
        deliveries.change(connection, endpoint_id, lost.event_id, lease_expires_at=rows.EARLIER)
        assert take_back(connection, limit=1) == 1

    def image() -> tuple[Any, ...]:
        with own_database.transaction() as connection:
            made = deliveries.tries(connection, endpoint_id, lost.event_id)
        return delivery(own_database, lost), endpoint(own_database, endpoint_id), made

    for _ in range(2):
        before = image()
        assert end(own_database, lost, tried) is None
        assert image() == before
        # Another worker has it now.
        with own_database.transaction() as connection:
            claim(connection, endpoint_id, concurrency=1)
