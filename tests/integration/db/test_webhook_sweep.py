"""The sweep's and the purge's queries about webhooks."""

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from app.db.engine import Database
from app.db.recording import DELIVERIES, ENDPOINTS
from app.db.webhook_deliveries import ATTEMPTS
from app.db.webhook_sweep import (
    Waiting,
    give_up_disabled,
    give_up_old,
    purge_deliveries,
    purge_endpoints,
    purge_secrets,
    waiting,
)
from app.domain.webhooks import DeliveryStatus, new_secret
from tests import deliveries, rows

DISABLED: dict[str, Any] = {"disabled_at": rows.NOW, "disabled_reason": "gone"}
OPEN: dict[str, Any] = {"consecutive_failures": 5, "failing_since": rows.NOW, "open_until": rows.LATER}
HALF_OPEN: dict[str, Any] = {**OPEN, "open_until": rows.EARLIER}
UNUSED_FOR = 3_600.0
LONG_AGO = text("now() - interval '61 minutes'")


@pytest.fixture
def owner_id(own_database: Database) -> UUID:
    """Somebody who owns endpoints."""
    with own_database.transaction() as connection:
        return rows.add_owner(connection)


def test_endpoints_with_something_to_do_are_found_page_by_page(own_database: Database, owner_id: UUID) -> None:
    with own_database.transaction() as connection:
        columns: list[dict[str, Any]] = [{}, OPEN, HALF_OPEN, DISABLED, {}, {}]
        made = [deliveries.add_endpoint(connection, owner_id, **one) for one in columns]
        for endpoint_id in made[:4]:
            for _ in range(3):
                deliveries.put(connection, endpoint_id)
        deliveries.put(connection, made[4], next_attempt_at=rows.LATER)
        for status in set(DeliveryStatus) - {DeliveryStatus.PENDING}:
            deliveries.put(connection, made[5], status)

        pages = [waiting(connection, after=None, limit=2)]
        while pages[-1] and len(pages) < len(made):
            pages.append(waiting(connection, after=pages[-1][-1].endpoint_id, limit=2))

    found = [endpoint for page in pages for endpoint in page]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    state = [(False, True), (False, False), (False, True), (True, False), (False, False)]
    assert found == sorted(
        (Waiting(endpoint_id, *one) for endpoint_id, one in zip(made, state, strict=False)),
        key=lambda one: one.endpoint_id,
    )


def test_pending_deliveries_of_a_disabled_endpoint_are_given_up(own_database: Database, owner_id: UUID) -> None:
    with own_database.transaction() as connection:
        disabled = deliveries.add_endpoint(connection, owner_id, **DISABLED)
        enabled = deliveries.add_endpoint(connection, owner_id)
        pending = [deliveries.put(connection, disabled, next_attempt_at=rows.LATER) for _ in range(3)]
        busy = deliveries.put(connection, disabled, DeliveryStatus.IN_PROGRESS)
        deliveries.put(connection, enabled)

        counts = [give_up_disabled(connection, disabled, limit=2, retention=60) for _ in range(3)]

        assert counts == [2, 1, 0]
        assert give_up_disabled(connection, enabled, limit=2, retention=60) == 0
        ended = [deliveries.row(connection, disabled, event_id) for event_id in pending]
        assert deliveries.row(connection, disabled, busy).status == DeliveryStatus.IN_PROGRESS
    assert [(one.status, one.failure) for one in ended] == [("failed", "endpoint_disabled")] * 3
    assert {(one.expires_at - one.ended_at).total_seconds() for one in ended} == {60}


def test_what_waited_too_long_is_given_up(own_database: Database, owner_id: UUID) -> None:
    with own_database.transaction() as connection:
        endpoint_id = deliveries.add_endpoint(connection, owner_id, **OPEN)
        old = [deliveries.put(connection, endpoint_id, give_up_at=rows.EARLIER) for _ in range(3)]
        young = deliveries.put(connection, endpoint_id)
        busy = deliveries.put(connection, endpoint_id, DeliveryStatus.IN_PROGRESS, give_up_at=rows.EARLIER)

        counts = [give_up_old(connection, limit=2, retention=60) for _ in range(3)]

        assert counts == [2, 1, 0]
        found = [deliveries.row(connection, endpoint_id, event_id) for event_id in [*old, young, busy]]
    assert [one.failure for one in found] == ["too_old"] * 3 + [None] * 2
    assert [one.status for one in found] == ["failed"] * 3 + ["pending", "in_progress"]


def test_ended_deliveries_are_purged_with_their_tries(own_database: Database, owner_id: UUID) -> None:
    with own_database.transaction() as connection:
        endpoint_id = deliveries.add_endpoint(connection, owner_id)
        expired = [
            deliveries.put(connection, endpoint_id, status, expires_at=rows.EARLIER)
            for status in (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.DELIVERED)
        ]
        kept = {deliveries.put(connection, endpoint_id, status) for status in DeliveryStatus}
        for event_id in (expired[0], *kept):
            tried = {"endpoint_id": endpoint_id, "event_id": event_id, "attempt": 1}
            connection.execute(ATTEMPTS.insert().values(**tried, started_at=rows.NOW, duration=1, status_code=200))

    counts, since = [], None
    for _ in range(3):
        with own_database.autocommit() as connection:
            deleted, since = purge_deliveries(connection, limit=2, since=since)
        counts.append(deleted)

    assert counts == [2, 1, 0]
    with own_database.transaction() as connection:
        assert set(connection.execute(select(DELIVERIES.c.event_id)).scalars()) == kept
        assert set(connection.execute(select(ATTEMPTS.c.event_id)).scalars()) == kept


def test_endpoints_that_jobs_came_with_are_purged_when_nobody_uses_them(own_database: Database, owner_id: UUID) -> None:
    def origin(number: int, used_at: Any = LONG_AGO) -> UUID:
        url = f"https://{number}.example.com"
        return rows.add_endpoint(connection, owner_id, url, events=[], source="job", used_at=used_at)

    with own_database.transaction() as connection:
        unused = {origin(number) for number in range(3)}
        used, told = origin(3, rows.NOW), origin(4)
        own = rows.add_endpoint(connection, owner_id, "https://example.com", used_at=LONG_AGO)
        deliveries.put(connection, told, DeliveryStatus.DELIVERED)

        counts = [purge_endpoints(connection, limit=2, unused_for=UNUSED_FOR) for _ in range(3)]

        left = set(connection.execute(select(ENDPOINTS.c.id)).scalars())
    assert counts == [2, 1, 0]
    assert left == {used, told, own}
    assert not left & unused


def test_secrets_that_sign_nothing_any_more_are_purged(own_database: Database, owner_id: UUID) -> None:
    with own_database.transaction() as connection:
        endpoint_id = deliveries.add_endpoint(connection, owner_id)
        times: list[Any] = [rows.EARLIER, rows.EARLIER, rows.LATER]
        for expires_at in times:
            deliveries.add_secret(connection, owner_id, endpoint_id, new_secret(), expires_at=expires_at)

        assert purge_secrets(connection) == 2

        expiries: list[datetime | None] = list(connection.execute(select(deliveries.SECRETS.c.expires_at)).scalars())
        now = connection.execute(select(func.now())).scalar_one()
    assert len(expiries) == 2
    assert all(one is None or one > now for one in expiries)
