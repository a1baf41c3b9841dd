"""Rates as text, what a key may do, and the arithmetic of a sliding window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.rates import MAX_RETRY_AFTER, MAX_WINDOW, KeyLimits, Overrides, Rate, Standing, parse_rate

CANARY = "canary-9d2e"
LIMITS = KeyLimits(Rate(10, 60), Rate(100, 60), max_active=5, max_queued=3)
SOON = 1e-6


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("6000/minute", Rate(6000, 60)),
        ("1/second", Rate(1, 1)),
        ("2/hour", Rate(2, 3600)),
        ("3/day", Rate(3, 86_400)),
        ("100/10 seconds", Rate(100, 10)),
        ("100/10seconds", Rate(100, 10)),
        ("100/1 minutes", Rate(100, 60)),
        ("5/30 days", Rate(5, MAX_WINDOW)),
        (" 7/minute\n", Rate(7, 60)),
        ("999999999/day", Rate(999_999_999, 86_400)),
    ],
)
def test_a_rate_is_read(text: str, wanted: Rate) -> None:
    assert parse_rate(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "", "6000", "/minute", "6000/", "0/minute", "-1/minute", "1.5/minute", "1e3/minute", "6000 per minute",
        "6000/fortnight", "6000/0 seconds", "1/31 days", "1000000000/minute", "6000/minute;1/second", "٣/minute",
        "6000/minute\n1/second", "6000/ minute", "6000/Minute", CANARY,
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_never_shown(text: str) -> None:
    with pytest.raises(ValueError, match="must be COUNT/PERIOD such as 6000/minute") as refused:
        parse_rate(text)
    assert CANARY not in str(refused.value)


@given(st.integers(1, 999_999_999), st.integers(1, MAX_WINDOW))
def test_a_rate_reads_as_it_is_written(count: int, seconds: int) -> None:
    assert parse_rate(str(Rate(count, seconds))) == Rate(count, seconds)


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Rate(6000, 60), "6000/minute"),
        (Rate(1, 90), "1/90 seconds"),
        (Rate(2, 7200), "2/2 hours"),
        (Rate(3, 1), "3/second"),
    ],
)
def test_a_rate_is_written_in_the_longest_period(rate: Rate, text: str) -> None:
    assert str(rate) == text


def test_what_was_set_for_the_key_goes_over_the_settings() -> None:
    assert Overrides().over(LIMITS) == LIMITS
    own = Overrides(Rate(1, 1), Rate(2, 2), 3, 4)
    assert own.over(LIMITS) == KeyLimits(Rate(1, 1), Rate(2, 2), 3, 4)
    assert Overrides(max_queued=1).over(LIMITS) == KeyLimits(Rate(10, 60), Rate(100, 60), 5, 1)
    assert own.values() == {"create_rate": "1/second", "poll_rate": "2/2 seconds", "max_active": 3, "max_queued": 4}
    assert set(Overrides().values().values()) == {None}


def test_each_bucket_has_its_rate() -> None:
    assert (LIMITS.rate("create"), LIMITS.rate("poll")) == (LIMITS.create_rate, LIMITS.poll_rate)


def later(standing: Standing, seconds: float) -> Standing:
    """The same some seconds on, nothing more having been sent."""
    rate, before, current, left = standing.rate, standing.before, standing.current, standing.left - seconds
    while left <= 0:
        before, current, left = current, 0, left + rate.seconds
    return Standing(rate, standing.allowed, before, current, left)


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    rate = Rate(draw(st.integers(1, 1000)), draw(st.integers(1, 3600)))
    before = draw(st.integers(0, rate.count))
    left = draw(st.floats(0.001, rate.seconds))
    room = Standing(rate, True, before, 0, left).remaining
    return Standing(rate, True, before, draw(st.integers(0, room)), left)


@given(standings())
def test_more_remain_once_it_says_so_and_not_before(standing: Standing) -> None:
    assert later(standing, standing.more_in * 0.999).remaining <= standing.remaining
    if standing.before + standing.current:
        assert later(standing, standing.more_in + SOON).remaining >= standing.remaining
    if standing.remaining == 0:
        assert later(standing, standing.more_in + SOON).remaining > 0


@given(standings())
def test_all_remain_once_it_says_so_and_not_before(standing: Standing) -> None:
    assert later(standing, standing.full_in + SOON).remaining == standing.rate.count
    if standing.full_in > SOON:
        assert later(standing, standing.full_in * 0.999 - SOON).remaining < standing.rate.count


@given(standings())
def test_a_client_is_told_to_wait_for_whole_seconds_long_enough(standing: Standing) -> None:
    wait = standing.retry_after
    assert 1 <= wait <= MAX_RETRY_AFTER
    assert wait == MAX_RETRY_AFTER or wait - 1 <= standing.more_in < wait


@pytest.mark.parametrize(
    ("before", "current", "left", "remaining", "more_in", "full_in"),
    [
        (0, 0, 60, 10, 60, 0),
        (0, 1, 60, 9, 60, 60),
        (0, 10, 42, 0, 42, 96),
        (10, 0, 30, 5, 0, 24),
        (10, 5, 31, 0, 1, 79),
        (10, 0, 0, 10, 0, 0),
    ],
)
def test_a_sliding_window(
    before: int, current: int, left: float, remaining: int, more_in: float, full_in: float
) -> None:
    standing = Standing(Rate(10, 60), True, before, current, left)
    assert standing.remaining == remaining
    assert (standing.more_in, standing.full_in) == pytest.approx((more_in, full_in))
