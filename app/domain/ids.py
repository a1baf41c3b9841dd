"""Job ids: a UUIDv7 inside, `resp_…` outside."""

import os
import re
import time
from uuid import UUID

_PUBLIC = re.compile(r"resp_([0-9a-f]{32})")


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits.

    Ids made in different milliseconds sort by time, so that inserts touch the end of the primary key's index and
    a page of a list is a range of it.
    """
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def public_id(job_id: UUID) -> str:
    """The id as clients, Celery and Flower know it."""
    return f"resp_{job_id.hex}"


def parse_public_id(text: str) -> UUID | None:
    """The id inside `text`, or None if it is not of the form that `public_id` gives."""
    match = _PUBLIC.fullmatch(text)
    return UUID(hex=match[1]) if match else None
