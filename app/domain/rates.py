"""What one API key may do: how many requests in how much time, how many jobs at once, and where it stands."""

import re
from dataclasses import dataclass
from math import floor
from typing import Literal

Bucket = Literal["create", "poll"]
"""What requests are counted as: those that create a response, and all others."""

MAX_RETRY_AFTER = 120
"""The longest wait, in seconds, that a refused client is told; it may have to ask again."""
MAX_WINDOW = 30 * 86_400
"""Seconds in the longest window that a rate may have."""

_PERIODS = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_RATE = re.compile(r"(?P<count>[0-9]{1,9})/(?:(?P<number>[0-9]{1,7}) ?)?(?P<period>second|minute|hour|day)s?")
_ALLOWED = (
    "must be COUNT/PERIOD such as 6000/minute or 100/10 seconds: a whole number from 1 to 999999999, "
    "and seconds, minutes, hours or days, 30 days at most"
)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in any window of so many seconds."""

    count: int
    seconds: int

    def __str__(self) -> str:
        """As `parse_rate` reads it, in the longest period that fits."""
        period, length = next((name, length) for name, length in _PERIODS.items() if self.seconds % length == 0)
        number = self.seconds // length
        return f"{self.count}/{period}" if number == 1 else f"{self.count}/{number} {period}s"


def parse_rate(text: str) -> Rate:
    """Read `6000/minute` or `100/10 seconds`. Raises ValueError, which says what is allowed."""
    match = _RATE.fullmatch(text.strip())
    rate = Rate(int(match["count"]), int(match["number"] or 1) * _PERIODS[match["period"]]) if match else Rate(0, 0)
    if rate.count < 1 or not 1 <= rate.seconds <= MAX_WINDOW:
        raise ValueError(_ALLOWED)
    return rate


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a key may do."""

    create_rate: Rate
    poll_rate: Rate
    max_active: int
    """Jobs that are queued or in progress."""
    max_queued: int

    def rate(self, bucket: Bucket) -> Rate:
        """The rate of one bucket."""
        return self.create_rate if bucket == "create" else self.poll_rate


@dataclass(frozen=True, slots=True)
class Overrides:
    """What was set for one key alone; None is what the settings say."""

    create_rate: Rate | None = None
    poll_rate: Rate | None = None
    max_active: int | None = None
    max_queued: int | None = None

    def values(self) -> dict[str, str | int | None]:
        """As they are stored and shown, rates as text."""
        return {
            "create_rate": str(self.create_rate) if self.create_rate else None,
            "poll_rate": str(self.poll_rate) if self.poll_rate else None,
            "max_active": self.max_active,
            "max_queued": self.max_queued,
        }

    def over(self, defaults: KeyLimits) -> KeyLimits:
        """What the key may do."""
        return KeyLimits(
            self.create_rate or defaults.create_rate,
            self.poll_rate or defaults.poll_rate,
            self.max_active or defaults.max_active,
            self.max_queued or defaults.max_queued,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands in a bucket after a request. Times are in seconds from now.

    A sliding window in two counters: what was counted in the window before weighs less and less while the current one
    goes on, and nothing at its end.
    """

    rate: Rate
    allowed: bool
    before: int
    current: int
    left: float
    """Until the current window ends, and becomes the one before."""

    @property
    def remaining(self) -> int:
        """Requests that would be allowed at this moment."""
        return max(0, self.rate.count - floor(self._weight) - self.current)

    @property
    def more_in(self) -> float:
        """Until more remain than now."""
        return self._weight % 1 * self.rate.seconds / self.before if self.before else self.left

    @property
    def full_in(self) -> float:
        """Until as many remain as the rate has, if no more are sent."""
        counted, ends_in = (self.current, self.left + self.rate.seconds) if self.current else (self.before, self.left)
        return max(0.0, ends_in - self.rate.seconds / counted) if counted else 0.0

    @property
    def retry_after(self) -> int:
        """Whole seconds, 1 to MAX_RETRY_AFTER, after which a request that is refused now may be allowed."""
        return min(MAX_RETRY_AFTER, floor(self.more_in) + 1)

    @property
    def _weight(self) -> float:
        """What the window before still counts for."""
        return self.before * self.left / self.rate.seconds
