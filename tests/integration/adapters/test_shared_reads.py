"""Readers who ask at the same time share a round trip, and each gets its own log, whatever becomes of the others'."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from redis import Redis

from app.adapters.events import BATCH, RedisEventLog
from app.domain.ids import new_id
from tests.processes import wait_until

DEADLINE = 20.0


class Killed(BaseException):
    """What a greenlet is ended with."""


@pytest.fixture
def log(client: Redis) -> RedisEventLog:
    return RedisEventLog(client)


@contextmanager
def reading(log: RedisEventLog, job_ids: Sequence[UUID]) -> Iterator[dict[UUID, Any]]:
    """Readers that come while somebody else reads; what each found stands in the result after the block."""
    found: dict[UUID, Any] = {}

    def read(job_id: UUID) -> None:
        try:
            found[job_id] = log.read(job_id, 1)
        except Killed:
            found[job_id] = Killed

    threads = [threading.Thread(target=read, args=[job_id], daemon=True) for job_id in job_ids]
    with log._reading:
        for thread in threads:
            thread.start()
        wait_until(lambda: len(log._wanted) == len(job_ids), DEADLINE, "all of them wait")
        yield found
    for thread in threads:
        thread.join(DEADLINE)
    assert len(found) == len(job_ids)


def written(log: RedisEventLog, count: int) -> list[UUID]:
    job_ids = [new_id() for _ in range(count)]
    log.append([(job_id, 0, [b"{}", job_id.hex.encode()]) for job_id in job_ids])
    return job_ids


def test_many_readers_share_few_round_trips(log: RedisEventLog, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    job_ids = written(log, BATCH + 20)
    trips, pipeline = [], client.pipeline

    def counted(**options: Any) -> Any:
        trips.append(options)
        return pipeline(**options)

    monkeypatch.setattr(client, "pipeline", counted)
    with reading(log, job_ids) as found:
        pass
    assert found == {job_id: [(1, job_id.hex.encode())] for job_id in job_ids}
    assert len(trips) == 2


def test_a_log_that_can_not_be_read_keeps_nobody_from_another(log: RedisEventLog, client: Redis) -> None:
    broken, whole = written(log, 2)
    client.set(next(key for key in client.scan_iter() if broken.hex.encode() in key), "no log")
    with reading(log, [broken, whole]) as found:
        pass
    assert found == {broken: [], whole: [(1, whole.hex.encode())]}


def test_who_is_killed_while_it_reads_for_others_leaves_none_behind(
    log: RedisEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_ids = written(log, 5)

    def killed(command: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, reading(log, job_ids) as found:
        patch.setattr(log, "_try", killed)
    # The others look again with the next ring.
    assert sorted(map(str, found.values())) == sorted(map(str, [Killed, [], [], [], []]))
    assert all(log.read(job_id, 1) for job_id in job_ids)
