"""The headers of requests and answers, as the document describes them."""

from app.domain.requests import JSON


def _header(description: str, example: str, **schema: object) -> JSON:
    return {"description": description, "schema": {"type": "string", **schema}, "example": example}


ANSWERS: dict[str, JSON] = {
    "X-Request-Id": {
        **_header("The request's own id. Name it when you report a problem.", f"req_{'5e' * 16}"),
        "required": True,
    },
    "X-RateLimit-Limit-Requests": _header("Requests of this kind that the key may send in a window.", "6000"),
    "X-RateLimit-Remaining-Requests": _header("How many of them are left at this moment.", "5999"),
    "X-RateLimit-Reset-Requests": _header("How long until all of them are there again.", "12ms"),
    "RateLimit-Policy": _header(
        "The same limit as the IETF's draft writes it: quota and window in seconds. Creating a response counts as "
        "`create`, all else as `poll`.",
        '"create";q=6000;w=60',
    ),
    "RateLimit": _header("What is left, and for how many seconds that holds.", '"create";r=5999;t=42'),
    "Retry-After": _header("Seconds to wait before the same is asked again.", "2", pattern="^[0-9]+$"),
    "OpenAI-Poll-After-Ms": _header("`Retry-After` in milliseconds, as OpenAI's SDKs read it.", "2000"),
    "ETag": _header("Names this state of the response. Send it as `If-None-Match`.", '"5739f2f8"'),
    "Preference-Applied": _header("The wait that was granted, if `Prefer` asked for one.", "wait=30"),
    "Idempotency-Replayed": _header(
        "The `Idempotency-Key` was used before, and this is the response that was made then.", "true", enum=["true"]
    ),
    "X-Should-Retry": _header(
        "`false` tells the SDKs not to send a synchronous request again: its response is there.", "false"
    ),
    "Allow": _header("The methods that the path takes.", "GET, HEAD"),
    "Content-Security-Policy": _header("The page loads nothing from elsewhere.", "default-src 'none'"),
    "WWW-Authenticate": _header("How to authenticate.", "Bearer"),
}
LIMITS = tuple(name for name in ANSWERS if "RateLimit" in name)
"""Those of every answer to a request that was counted."""

REQUESTS: dict[str, JSON] = {
    "Idempotency-Key": {
        **_header(
            "A name of your choice for this request, kept as long as its response. Sent again with the same body it "
            "gives the same response instead of another one.",
            "article-42",
            minLength=1,
            maxLength=255,
        ),
    },
    "Prefer": _header(
        "`wait=N`: answer when the response has ended, or as it is after N seconds, 60 at most. `?wait=` goes before "
        "it. Anything else is ignored.",
        "wait=30",
    ),
    "If-None-Match": _header(
        "An `ETag`. If it is still the right one the answer is 304, without a body.", '"5739f2f8"'
    ),
    "X-Client-Request-Id": _header("Your own id for this request; it is written to the log.", "job-7-try-2"),
}


def header_references(*names: str) -> JSON:
    """The headers of an answer: these, and what every answer has."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}
