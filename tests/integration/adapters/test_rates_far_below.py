"""Requests of keys far below their rates, which are let in now and counted a moment later."""

from uuid import UUID

import pytest

from app.adapters.rate_limiter import FRESH, NEAR
from app.domain.ids import new_id
from app.domain.rates import Rate
from tests.integration.adapters.watched import LONG, Clock, Watched, allowed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key() -> UUID:
    return new_id()


def test_far_below_the_rate_redis_is_asked_now_and_then(broker_url: str, clock: Clock, key: UUID) -> None:
    rate = Rate(1_000, LONG)
    limiter, other = Watched(broker_url, clock), Watched(broker_url, clock)
    assert [limiter.hit("poll", key, rate).remaining for _ in range(50)] == list(range(999, 949, -1))
    assert limiter.asked == 1
    clock.now += FRESH
    assert limiter.hit("poll", key, rate).remaining == 949
    assert other.hit("poll", key, rate).remaining == 948, "all that was let in is counted"


def test_near_the_rate_each_request_is_counted(broker_url: str, clock: Clock, key: UUID) -> None:
    limiter, rate = Watched(broker_url, clock), Rate(300, LONG)
    assert allowed(limiter, key, rate, 400, "poll") == 300
    assert limiter.asked == 1 + NEAR + 100, "at first, for the last hundred, and for those that were refused"


def test_what_others_used_up_is_not_let_in_again(broker_url: str, clock: Clock, key: UUID) -> None:
    rate = Rate(1_000, LONG)
    limiter, other = Watched(broker_url, clock), Watched(broker_url, clock)
    assert allowed(limiter, key, rate, 500, "poll") == 500
    clock.now += FRESH
    # It knows nothing of 499 of them, and finds 999 left.
    assert allowed(other, key, rate, 900, "poll") == 900
    clock.now += FRESH
    assert other.hit("poll", key, rate).allowed
    told = limiter.hit("poll", key, rate)
    assert (told.allowed, told.remaining) == (True, 97), "counted alone: with the others it would not fit"
