"""A running stream's events in the broker are sealed, one by one, when there is a key."""

from typing import Any
from uuid import UUID

import pytest
from redis import Redis

from app.adapters.events import RedisEventLog
from app.domain.encryption import PREFIX
from app.domain.ids import new_id
from tests.encryption import CANARY, sealer

EVENTS = [f'{{"delta":"{CANARY} {number}"}}'.encode() for number in range(5)]


@pytest.fixture
def job_id() -> UUID:
    return new_id()


def entries(client: Redis, job_id: UUID) -> list[bytes]:
    """What the broker holds."""
    held: Any = client.xrange(f"simmer:events:{job_id.hex}")
    return [fields[b"e"] for _, fields in held]


def test_the_broker_holds_no_word_of_the_output(client: Redis, job_id: UUID) -> None:
    log = RedisEventLog(client, sealer("a"))
    log.append([(job_id, 0, EVENTS[:2])])
    assert log.append([(job_id, 2, EVENTS[2:])]) == {job_id: 5}
    assert [entry for entry in entries(client, job_id) if not entry.startswith(f"{PREFIX}a:".encode())] == []
    assert log.read(job_id, 0) == list(enumerate(EVENTS))
    assert log.read(job_id, 3) == list(enumerate(EVENTS))[3:]
    assert log.close(job_id) == EVENTS
    assert log.read(job_id, 0) == list(enumerate(EVENTS))


def test_processes_with_and_without_the_key_go_on_with_one_log(client: Redis, job_id: UUID) -> None:
    RedisEventLog(client).append([(job_id, 0, EVENTS[:2])])
    RedisEventLog(client, sealer("a")).append([(job_id, 2, EVENTS[2:])])
    assert RedisEventLog(client, sealer("b", "a")).read(job_id, 0) == list(enumerate(EVENTS))
    without = RedisEventLog(client)
    assert without.read(job_id, 0) == list(enumerate(EVENTS[:2]))
    assert without.read(job_id, 2) == []
    assert without.close(job_id) == EVENTS[:2]


def test_events_that_changed_places_do_not_open(client: Redis, job_id: UUID) -> None:
    log, other = RedisEventLog(client, sealer("a")), new_id()
    log.append([(job_id, 0, EVENTS[:3])])
    key, held = f"simmer:events:{job_id.hex}", entries(client, job_id)
    client.delete(key)
    for number, index in enumerate((0, 2, 1), start=1):
        client.xadd(key, {"e": held[index]}, id=f"{number}-0")
    assert log.read(job_id, 0) == [(0, EVENTS[0])]
    client.rename(key, f"simmer:events:{other.hex}")
    assert log.read(other, 0) == []
