"""Counts every authenticated request against its key's rate, and tells every reply how much is left."""

from math import ceil

from app.adapters.rate_limiter import RedisRateLimiter
from app.api.exchange import Exchange
from app.domain.errors import RateLimitedError
from app.domain.rates import Bucket, Standing
from app.services.keys import Caller


def charge(limiter: RedisRateLimiter, exchange: Exchange, caller: Caller, bucket: Bucket) -> None:
    """Count the request, whatever becomes of it. Raises RateLimitedError if the key has sent too many."""
    standing = limiter.hit(bucket, caller.api_key_id, caller.limits.rate(bucket))
    exchange.headers = _headers(bucket, standing).items()
    if not standing.allowed:
        raise RateLimitedError(
            f"Too many requests of this kind: the API key may send {standing.rate}. "
            "Wait as long as Retry-After says, then try again.",
            retry_after=standing.retry_after,
        )


def _headers(bucket: Bucket, standing: Standing) -> dict[str, str]:
    """OpenAI's headers, and those of draft-ietf-httpapi-ratelimit-headers-11."""
    rate = standing.rate
    # The draft wants no Retry-After that ends before `t` does.
    remaining = standing.remaining
    window = min(rate.seconds, ceil(standing.left) if remaining else standing.retry_after)
    return {
        "x-ratelimit-limit-requests": str(rate.count),
        "x-ratelimit-remaining-requests": str(remaining),
        "x-ratelimit-reset-requests": duration(standing.full_in),
        "RateLimit-Policy": f'"{bucket}";q={rate.count};w={rate.seconds}',
        "RateLimit": f'"{bucket}";r={remaining};t={window}',
    }


def duration(seconds: float) -> str:
    """As OpenAI writes it: `12ms`, `1s`, `6m0s`, `1h0m0s`; rounded up."""
    if seconds <= 0.999:
        return f"{ceil(seconds * 1000)}ms"
    minutes, rest = divmod(ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
