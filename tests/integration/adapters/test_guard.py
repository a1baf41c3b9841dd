"""The way to the broker: turns instead of an exhausted pool, and one vain try instead of many."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis, RedisError
from redis import TimeoutError as RedisTimeoutError

from app.adapters import guard as module
from app.adapters.guard import Guard
from app.adapters.redis_client import redis_client
from app.settings import Settings
from tests.processes import free_port

AT_ONCE = 50
DEADLINE = 30.0


@pytest.fixture
def client() -> Redis:
    """Four connections; the commands of these tests need none."""
    return redis_client(Settings(broker_url=f"redis://127.0.0.1:{free_port()}/0"), connections=4)


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield pool


def test_those_who_come_at_once_take_turns_and_are_all_served(client: Redis, callers: ThreadPoolExecutor) -> None:
    guard, inside, most = Guard(client), threading.Semaphore(AT_ONCE), []

    def command() -> str:
        inside.acquire()
        most.append(AT_ONCE - inside._value)
        time.sleep(0.005)
        inside.release()
        return "served"

    calls = [callers.submit(guard.call, command) for _ in range(AT_ONCE)]
    assert {call.result(DEADLINE) for call in calls} == {"served"}
    assert max(most) == 2, "the other half of the connections is for others"


@pytest.mark.parametrize("error", [RedisTimeoutError, OSError])
def test_who_waits_behind_a_vain_try_does_not_try_as_well(
    client: Redis, callers: ThreadPoolExecutor, error: type[Exception]
) -> None:
    guard = Guard(client)
    tries: list[None] = []
    all_are_here = threading.Barrier(AT_ONCE)

    def command() -> None:
        tries.append(None)
        time.sleep(0.2)
        raise error

    def call() -> bool:
        all_are_here.wait(DEADLINE)
        try:
            return guard.call(command) is None
        except (RedisError, OSError):
            return False

    told = [done.result(DEADLINE) for done in [callers.submit(call) for _ in range(AT_ONCE)]]
    assert told.count(False) == len(tries) == 2
    assert guard.call(command) is None


def test_a_bug_is_not_an_outage(client: Redis) -> None:
    guard = Guard(client)

    def command() -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - any message
        guard.call(command)
    assert guard.call(lambda: "served") == "served"


def test_nobody_waits_for_a_turn_for_ever(
    client: Redis, callers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    guard, over, inside = Guard(client), threading.Event(), threading.Semaphore(0)

    def command() -> bool:
        inside.release()
        return over.wait(DEADLINE)

    holders = [callers.submit(guard.call, command) for _ in range(2)]
    for _ in holders:
        assert inside.acquire(timeout=DEADLINE)
    assert guard.call(lambda: "served") is None
    over.set()
    assert all(holder.result(DEADLINE) for holder in holders)
    assert guard.call(lambda: "served") == "served"
