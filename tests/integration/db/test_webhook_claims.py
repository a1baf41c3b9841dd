"""Claims of deliveries: never more than an endpoint gets at once, none while its circuit is open, and handed back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import text

from app.db import webhook_secrets
from app.db.engine import Database
from app.db.webhook_claims import Claimed, claim, hand_back, hold_off, take_back
from app.domain.webhook_tries import SecretError
from app.domain.webhooks import DeliveryClaim, DeliveryStatus, new_secret
from tests import deliveries, rows
from tests.databases import migrated
from tests.encryption import connected

RACERS = 16
CONCURRENCY = 3


@pytest.fixture
def endpoint_id(database: Database, owner: UUID) -> UUID:
    """A healthy endpoint."""
    with database.transaction() as connection:
        return deliveries.add_endpoint(connection, owner)


def taken(database: Database, endpoint_id: UUID, concurrency: int = CONCURRENCY) -> Claimed | None:
    with database.transaction() as connection:
        return claim(connection, endpoint_id, concurrency=concurrency)


def put(database: Database, endpoint_id: UUID, count: int = 1) -> list[UUID]:
    with database.transaction() as connection:
        return [deliveries.put(connection, endpoint_id) for _ in range(count)]


def suffering(database: Database, endpoint_id: UUID, failures: int, open_for: int) -> None:
    with database.transaction() as connection:
        until = text(f"now() + interval '{open_for} s'")
        health = {"consecutive_failures": failures, "failing_since": rows.NOW, "open_until": until}
        deliveries.change_endpoint(connection, endpoint_id, **health)


def test_the_longest_due_comes_first_and_what_is_not_due_waits(database: Database, endpoint_id: UUID) -> None:
    with database.transaction() as connection:
        deliveries.put(connection, endpoint_id, next_attempt_at=rows.LATER)
        third = deliveries.put(connection, endpoint_id)
        second = deliveries.put(connection, endpoint_id, next_attempt_at=text("now() - interval '1 second'"))
        first = deliveries.put(connection, endpoint_id, next_attempt_at=rows.EARLIER, created_at=rows.LATER)

    found = [taken(database, endpoint_id) for _ in range(4)]

    assert [one and (one.claim.event_id, one.claim.attempt, one.more) for one in found] == [
        (first, 1, True),
        (second, 1, True),
        (third, 1, False),
        None,
    ]


def test_a_race_never_claims_more_than_the_endpoint_gets_at_once(database: Database, endpoint_id: UUID) -> None:
    put(database, endpoint_id, 40)
    start = Barrier(RACERS)

    def race(_: int) -> DeliveryClaim | None:
        start.wait(30)
        found = taken(database, endpoint_id)
        return found.claim if found else None

    for _ in range(5):
        with ThreadPoolExecutor(RACERS) as threads:
            held = [one for one in threads.map(race, range(RACERS)) if one]
        assert len({one.event_id for one in held}) == len(held) == CONCURRENCY
        with database.transaction() as connection:
            assert all(hand_back(connection, one) for one in held)


def test_more_is_said_only_while_somebody_else_could_claim_it(database: Database, endpoint_id: UUID) -> None:
    put(database, endpoint_id, 4)

    found = [taken(database, endpoint_id, concurrency=2) for _ in range(3)]

    assert [one and one.more for one in found] == [True, False, None]


def test_nothing_is_claimed_while_the_circuit_is_open(database: Database, endpoint_id: UUID) -> None:
    put(database, endpoint_id)
    suffering(database, endpoint_id, 1, 60)

    assert taken(database, endpoint_id) is None


def test_after_that_one_delivery_at_a_time_is_tried(database: Database, endpoint_id: UUID) -> None:
    put(database, endpoint_id, 3)
    suffering(database, endpoint_id, 5, -1)

    first = taken(database, endpoint_id)

    assert first is not None
    assert not first.more
    assert taken(database, endpoint_id) is None
    with database.transaction() as connection:
        assert hand_back(connection, first.claim)
    assert taken(database, endpoint_id) is not None


def test_four_failures_open_no_circuit(database: Database, endpoint_id: UUID) -> None:
    put(database, endpoint_id, 2)
    suffering(database, endpoint_id, 4, -1)

    assert taken(database, endpoint_id) is not None
    assert taken(database, endpoint_id) is not None


def test_nothing_is_claimed_for_a_disabled_endpoint(database: Database, endpoint_id: UUID) -> None:
    put(database, endpoint_id)
    with database.transaction() as connection:
        deliveries.change_endpoint(connection, endpoint_id, disabled_at=rows.NOW, disabled_reason="gone")

    assert taken(database, endpoint_id) is None


def test_one_endpoint_is_not_in_anothers_way(database: Database, owner: UUID, endpoint_id: UUID) -> None:
    with database.transaction() as connection:
        other = deliveries.add_endpoint(connection, owner)
    put(database, endpoint_id, CONCURRENCY)
    put(database, other)
    for _ in range(CONCURRENCY):
        assert taken(database, endpoint_id)

    with database.transaction() as busy:
        # Held by somebody who claims or settles there.
        busy.execute(text("SELECT FROM webhook_endpoints WHERE id = :id FOR NO KEY UPDATE"), {"id": endpoint_id})
        assert taken(database, other) is not None


def test_a_claim_keeps_no_job_from_ending(database: Database, owner: UUID, endpoint_id: UUID) -> None:
    put(database, endpoint_id)
    with database.transaction() as claiming:
        assert claim(claiming, endpoint_id, concurrency=1)
        # What the end of a job does.
        put(database, endpoint_id)


def test_it_is_sent_to_its_own_url_if_a_job_came_with_one(database: Database, owner: UUID) -> None:
    secret = new_secret()
    with database.transaction() as connection:
        origin = deliveries.add_endpoint(connection, owner, "https://example.com", source="job", secret=secret)
        deliveries.put(connection, origin, url="https://example.com/hook?job=1")

    found = taken(database, origin)

    assert found is not None
    assert found.claim.url == "https://example.com/hook?job=1"
    assert found.claim.secrets == (secret,)


def test_a_rotated_secret_signs_too_until_it_expires_and_nobody_elses_does(database: Database, owner: UUID) -> None:
    current, old, expired = new_secret(), new_secret(), new_secret()
    with database.transaction() as connection:
        endpoint_id = deliveries.add_endpoint(connection, owner, secret=current)
        deliveries.add_endpoint(connection, owner)
        deliveries.add_secret(connection, owner, None, new_secret())
        deliveries.add_secret(connection, owner, endpoint_id, expired, expires_at=rows.EARLIER)
        deliveries.add_secret(connection, owner, endpoint_id, old, expires_at=rows.LATER)
        deliveries.put(connection, endpoint_id)

    found = taken(database, endpoint_id)

    assert found is not None
    assert found.claim.secrets == (current, old)


@pytest.mark.parametrize("secret", [None, "sealed1:gone:AAAA"])
def test_without_a_secret_that_opens_nothing_is_claimed(database: Database, owner: UUID, secret: str | None) -> None:
    with database.transaction() as connection:
        endpoint_id = rows.add_endpoint(connection, owner, deliveries.URL)
        if secret:
            deliveries.add_secret(connection, owner, endpoint_id, secret)
        event_id = deliveries.put(connection, endpoint_id)

    with pytest.raises(SecretError):
        taken(database, endpoint_id)

    with database.transaction() as connection:
        assert deliveries.row(connection, endpoint_id, event_id).status == DeliveryStatus.PENDING
        hold_off(connection, endpoint_id, seconds=300)
        assert claim(connection, endpoint_id, concurrency=1) is None
        assert deliveries.endpoint(connection, endpoint_id).consecutive_failures == 0


@pytest.mark.parametrize("source", ["api", "job"])
def test_a_sealed_secret_opens_for_who_has_its_key_and_for_nobody_else(database_url: str, source: str) -> None:
    with connected(database_url, "a") as sealing, connected(database_url, "b") as stranger:
        with sealing.transaction() as connection:
            owner = rows.add_owner(connection)
            endpoint_id = rows.add_endpoint(connection, owner, deliveries.URL, source=source)
            webhook_secrets.add(connection, owner, endpoint_id if source == "api" else None)
            deliveries.put(connection, endpoint_id)

        with pytest.raises(SecretError):
            taken(stranger, endpoint_id)
        found = taken(sealing, endpoint_id)

    assert found is not None
    [secret] = found.claim.secrets
    assert secret.startswith("whsec_")


def test_what_is_handed_back_is_due_at_once_and_has_not_failed(database: Database, endpoint_id: UUID) -> None:
    [event_id] = put(database, endpoint_id)
    held = taken(database, endpoint_id)
    assert held is not None

    with database.transaction() as connection:
        assert hand_back(connection, held.claim)
        assert not hand_back(connection, held.claim)

    with database.transaction() as connection:
        found = deliveries.row(connection, endpoint_id, event_id)
        [made] = deliveries.tries(connection, endpoint_id, event_id)
    assert (found.status, found.failures) == (DeliveryStatus.PENDING, 0)
    assert (made.attempt, made.error) == (1, "worker_stopped")
    again = taken(database, endpoint_id)
    assert again is not None
    assert again.claim.attempt == 2


@pytest.fixture(scope="module")
def swept(postgres: str) -> Iterator[Database]:
    """For what acts on all rows."""
    with migrated(postgres, "webhook_leases") as made:
        yield made


def test_what_ended_with_its_worker_is_due_again_and_its_worker_has_lost_it(swept: Database) -> None:
    with swept.transaction() as connection:
        endpoint_id = deliveries.add_endpoint(connection, rows.add_owner(connection))
        lost = [deliveries.put(connection, endpoint_id) for _ in range(3)]
    held = [taken(swept, endpoint_id, concurrency=8) for _ in range(3)]
    with swept.transaction() as connection:
        for event_id in lost[:2]:
            deliveries.change(connection, endpoint_id, event_id, lease_expires_at=rows.EARLIER)

        assert take_back(connection, limit=1) == 1
        assert take_back(connection, limit=10) == 1
        assert take_back(connection, limit=10) == 0

    with swept.transaction() as connection:
        found = [deliveries.row(connection, endpoint_id, event_id) for event_id in lost]
        [made] = deliveries.tries(connection, endpoint_id, lost[0])
        assert [one.status for one in found] == ["pending", "pending", "in_progress"]
        assert [one.failures for one in found] == [0, 0, 0]
        assert (made.attempt, made.status_code, made.error) == (1, None, "worker_lost")
        assert made.duration == pytest.approx(3_660, abs=30)
        assert [one and hand_back(connection, one.claim) for one in held] == [False, False, True]
