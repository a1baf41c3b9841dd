"""How rates are told: OpenAI's durations, and the fields of the IETF's draft."""

import pytest

from app.api import limits
from app.domain.rates import Rate, Standing


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0115, "12ms"),
        (0.999, "999ms"),
        (0.9991, "1s"),
        (1, "1s"),
        (1.2, "2s"),
        (59.5, "1m0s"),
        (360, "6m0s"),
        (3599.1, "1h0m0s"),
        (86_399, "23h59m59s"),
        (172_800, "48h0m0s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert limits.duration(seconds) == text


def test_what_is_left_of_the_window() -> None:
    standing = Standing(Rate(6000, 60), True, before=0, current=1, left=41.2)
    assert limits._headers("create", standing) == {
        "x-ratelimit-limit-requests": "6000",
        "x-ratelimit-remaining-requests": "5999",
        "x-ratelimit-reset-requests": "42s",
        "RateLimit-Policy": '"create";q=6000;w=60',
        "RateLimit": '"create";r=5999;t=42',
    }


@pytest.mark.parametrize(("left", "told"), [(30.5, 31), (900, 120)])
def test_when_nothing_is_left_the_window_ends_no_later_than_retry_after(left: float, told: int) -> None:
    standing = Standing(Rate(2, 3600), False, before=0, current=2, left=left)
    assert standing.retry_after == told
    assert limits._headers("poll", standing)["RateLimit"] == f'"poll";r=0;t={told}'
