"""Rates counted on a real Valkey: shared, sliding, and what happens while it is down or frozen."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from redis.connection import Connection

from app.adapters import rate_limiter
from app.adapters.rate_limiter import NEAR
from app.domain.ids import new_id
from app.domain.rates import Rate, Standing
from app.stack.valkey import EmbeddedValkey
from tests.embedded import Server
from tests.integration.adapters.watched import LONG, PAUSE, Clock, Watched, allowed
from tests.processes import free_port, wait_until

DEADLINE = 30
ROOT = Path(__file__).parents[3]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Server]:
    """A server to freeze and kill; it is continued and ended whatever happens."""
    with Server(EmbeddedValkey(tmp_path, free_port()), tmp_path / "log") as server:
        yield server


@pytest.fixture
def nobody() -> str:
    """A broker's address where nobody listens."""
    return f"redis://127.0.0.1:{free_port()}/0"


@pytest.fixture
def key() -> UUID:
    return new_id()


def at_once(threads: int, hit: Callable[[], Standing]) -> list[Standing]:
    with ThreadPoolExecutor(threads) as pool:
        return [future.result(DEADLINE) for future in [pool.submit(hit) for _ in range(threads)]]


def names(url: str) -> set[str]:
    with Redis.from_url(url) as client:
        return {name.decode() for name in client.keys("*")}


def test_two_processes_share_a_rate(broker_url: str, clock: Clock, key: UUID) -> None:
    rate = Rate(5, LONG)
    limiters = [Watched(broker_url, clock) for _ in range(2)]
    standings = [limiters[number % 2].hit("create", key, rate) for number in range(7)]
    assert [standing.allowed for standing in standings] == [True] * 5 + [False] * 2
    assert [standing.remaining for standing in standings] == [4, 3, 2, 1, 0, 0, 0]
    assert all(LONG - DEADLINE < standing.left <= LONG for standing in standings)
    assert standings[-1].retry_after == 120


def test_buckets_keys_and_rates_are_counted_apart(broker_url: str, clock: Clock, key: UUID) -> None:
    limiter, rate = Watched(broker_url, clock), Rate(2, LONG)
    assert allowed(limiter, key, rate, 4) == 2
    assert allowed(limiter, key, rate, 4, "poll") == 2
    assert allowed(limiter, new_id(), rate, 4) == 2
    assert allowed(limiter, key, Rate(3, LONG), 4) == 3


def test_many_at_once_get_what_the_rate_allows_and_no_more(broker_url: str, clock: Clock, key: UUID) -> None:
    limiter, rate = Watched(broker_url, clock, connections=4), Rate(100, LONG)
    with ThreadPoolExecutor(12) as pool:
        counts = list(pool.map(lambda _: allowed(limiter, key, rate, 20), range(12)))
    assert sum(counts) == 100
    assert limiter.asked == 240


def test_one_request_is_one_round_trip(
    broker_url: str, clock: Clock, key: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, rate = Watched(broker_url, clock, connections=1), Rate(9, LONG)
    limiter.hit("poll", key, rate)
    writes = []
    write = Connection.send_packed_command

    def count(connection: Connection, command: Any, **options: Any) -> None:
        writes.append(command)
        write(connection, command, **options)

    monkeypatch.setattr(Connection, "send_packed_command", count)
    assert limiter.hit("poll", key, rate).remaining == 7
    assert len(writes) == 1


def test_a_window_fades_out_in_the_next(broker_url: str, clock: Clock, key: UUID) -> None:
    limiter, rate = Watched(broker_url, clock), Rate(10, 600)
    assert allowed(limiter, key, rate, 12) == 10
    with Redis.from_url(broker_url) as client:
        # As if the window had ended a second ago: of ten, nine still count.
        (current,) = names(broker_url)
        client.expire(current, 599)
        assert allowed(limiter, key, rate, 5) == 1
        # As if the next one were half over: of the ten before, four still count.
        (before,) = names(broker_url) - {current}
        client.expire(before, 299)
        client.expire(current, 299 + 600)
        assert allowed(limiter, key, rate, 9) == 5


def test_a_window_ends_by_itself(broker_url: str, clock: Clock, key: UUID) -> None:
    limiter, rate = Watched(broker_url, clock), Rate(2, 1)
    wait_until(lambda: not limiter.hit("create", key, rate).allowed, DEADLINE, "the rate is used up")
    # What is refused is not counted: asking again and again does not put it off.
    wait_until(lambda: limiter.hit("create", key, rate).allowed, DEADLINE, "a request is allowed again")
    wait_until(lambda: names(broker_url) == set(), DEADLINE, "Redis forgets who sends nothing")


@pytest.mark.parametrize("count", [1, 3])
def test_without_redis_a_process_counts_for_itself(
    nobody: str, clock: Clock, key: UUID, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    limiter, rate = Watched(nobody, clock), Rate(count, LONG)
    assert allowed(limiter, key, rate, count + 2) == count
    standing = limiter.hit("create", key, rate)
    assert (standing.remaining, standing.rate) == (0, rate)
    assert 0 < standing.left <= LONG
    assert allowed(Watched(nobody, clock), key, rate, 1) == 1
    assert limiter.asked == 1
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "broker unavailable, each process counts requests for itself: ConnectionError"
    ] * 2


def test_the_local_window_slides_too(nobody: str, clock: Clock, key: UUID) -> None:
    limiter, rate = Watched(nobody, clock), Rate(2, 1)
    wait_until(lambda: not limiter.hit("poll", key, rate).allowed, DEADLINE, "the rate is used up")
    wait_until(lambda: limiter.hit("poll", key, rate).allowed, DEADLINE, "a request is allowed again")


def test_a_frozen_redis_is_waited_for_once_in_each_pause(
    own_valkey: Server, clock: Clock, key: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    limiter, rate = Watched(own_valkey.url, clock), Rate(NEAR, LONG)
    assert limiter.hit("create", key, rate).remaining == NEAR - 1
    own_valkey.process.freeze()
    try:
        assert [limiter.hit("create", key, rate).remaining for _ in range(5)] == [99, 98, 97, 96, 95]
        assert limiter.asked == 2
        clock.now += PAUSE
        assert all(standing.allowed for standing in at_once(20, lambda: limiter.hit("create", key, rate)))
        assert limiter.asked == 3
    finally:
        own_valkey.process.resume()
    clock.now += PAUSE
    assert limiter.hit("create", key, rate).remaining <= NEAR - 2
    at_once(20, lambda: limiter.hit("create", key, rate))
    assert limiter.asked == 24
    said = [record.message for record in caplog.records if record.name == rate_limiter.__name__]
    assert [sentence.partition(",")[0] for sentence in said] == ["broker unavailable"] * 2 + ["broker available"]


def test_nobody_waits_for_a_frozen_redis_after_another_has(own_valkey: Server, clock: Clock, key: UUID) -> None:
    limiter, rate = Watched(own_valkey.url, clock, connections=1), Rate(NEAR, LONG)
    limiter.hit("create", key, rate)
    own_valkey.process.freeze()
    try:
        standings = at_once(10, lambda: limiter.hit("create", key, rate))
    finally:
        own_valkey.process.resume()
    assert limiter.asked == 2
    assert min(standing.remaining for standing in standings) == NEAR - 10


def test_a_redis_that_was_restarted_costs_nothing(
    own_valkey: Server, clock: Clock, key: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    limiter, rate = Watched(own_valkey.url, clock), Rate(NEAR, LONG)
    at_once(5, lambda: limiter.hit("create", key, rate))
    own_valkey.kill()
    own_valkey.start()
    with Redis.from_url(own_valkey.url) as client:
        client.flushall()
    assert min(standing.remaining for standing in at_once(5, lambda: limiter.hit("create", key, rate))) == NEAR - 5
    assert limiter.asked == 10
    assert caplog.records == []


def test_a_full_redis_fails_no_request(
    own_valkey: Server, clock: Clock, key: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = Watched(own_valkey.url, clock)
    with Redis.from_url(own_valkey.url) as client:
        client.config_set("maxmemory", "1")
    assert allowed(limiter, key, Rate(2, LONG), 3) == 2
    assert "OutOfMemoryError" in caplog.text


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import json, sys, uuid
import gevent
from app.adapters.rate_limiter import RedisRateLimiter
from app.adapters.redis_client import redis_client
from app.domain.rates import Rate
from app.settings import Settings

limiter = RedisRateLimiter(redis_client(Settings(broker_url=sys.argv[1]), connections=10))
ticks, ask, asked = [], limiter._ask, []
limiter._ask = lambda *arguments: asked.append(1) or ask(*arguments)

def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.005)

gevent.spawn(tick)
hits = [gevent.spawn(limiter.hit, "create", uuid.UUID(int=1), Rate(40, 3600)) for _ in range(60)]
gevent.joinall(hits, timeout=20, raise_error=True)
print(json.dumps({"allowed": sum(hit.value.allowed for hit in hits), "asked": len(asked), "ticks": len(ticks)}))
"""


def under_gevent(url: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS, url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found | {"warnings": done.stderr.count("broker unavailable")}


def test_greenlets_share_the_connections(broker_url: str) -> None:
    found = under_gevent(broker_url)
    assert (found["allowed"], found["asked"], found["warnings"]) == (40, 60, 0)


def test_a_frozen_redis_stops_greenlets_and_not_the_process(own_valkey: Server) -> None:
    own_valkey.process.freeze()
    try:
        found = under_gevent(own_valkey.url)
    finally:
        own_valkey.process.resume()
    assert found["allowed"] == 40
    assert 1 <= found["asked"] <= 10
    assert found["warnings"] == 1
    assert found["ticks"] > 10
