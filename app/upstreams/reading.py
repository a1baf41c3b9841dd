"""Reads what both protocols put into an answer in the same way, whatever a server really sends there."""

import json
import math
from typing import Any

from app.domain.jobs import Usage
from app.domain.requests import JSON

_DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_float=lambda text: _finite(float(text)))


def parse(body: bytes) -> Any:
    """The JSON value; null for NaN and infinities, which JSON has not and no database takes. Raises ValueError."""
    return _DECODER.decode(body.decode("utf-8"))


def usage(told: object, *, input_name: str, output_name: str) -> Usage | None:
    """The server's count of tokens; None if it tells none, or less than both numbers."""
    counts = as_object(told)
    read, written = _count(counts, input_name), _count(counts, output_name)
    if read is None or written is None:
        return None
    total = _count(counts, "total_tokens")
    return Usage(
        input_tokens=read,
        output_tokens=written,
        total_tokens=read + written if total is None else total,
        cached_tokens=_count(as_object(counts.get(f"{input_name}_details")), "cached_tokens") or 0,
        reasoning_tokens=_count(as_object(counts.get(f"{output_name}_details")), "reasoning_tokens") or 0,
    )


def logprobs(told: object) -> list[JSON]:
    """Log probabilities in the form of the Responses API, in which no `bytes` may be missing."""
    return [
        {**_logprob(entry), "top_logprobs": [_logprob(top) for top in objects(entry.get("top_logprobs"))]}
        for entry in objects(told)
    ]


def _logprob(entry: JSON) -> JSON:
    token = str(entry.get("token", ""))
    number, known = entry.get("logprob"), entry.get("bytes")
    return {
        "token": token,
        # OpenAI's own stand-in for a token that is next to impossible; so are minus infinity and none at all.
        "logprob": number if isinstance(number, int | float) else -9999.0,
        "bytes": known if isinstance(known, list) else list(token.encode("utf-8", "surrogatepass")),
    }


def objects(value: object) -> list[JSON]:
    """The objects of a list; none if it is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def as_object(value: Any) -> JSON:
    """The value, or an empty object if it is none."""
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str:
    """The value, or an empty text if it is none."""
    return value if isinstance(value, str) else ""


def _count(counts: JSON, name: str) -> int | None:
    value = counts.get(name)
    return value if type(value) is int and value >= 0 else None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
