"""Ids: a UUIDv7 inside, a prefix and 32 hexadecimal digits outside."""

import os
import re
import time
from uuid import UUID

JOB = "resp"
ENDPOINT = "whe"
"""A webhook endpoint."""
EVENT = "evt"
"""What webhooks tell. The event of a job's end has the job's own UUID: it happens once."""

_HEX = re.compile(r"[0-9a-f]{32}")


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562, section 5.7): 60 bits of Unix time in steps of 1/4096 ms, then 62 random bits.

    The steps are section 6.2's method 3, as Postgres' `uuidv7()` has it. Ids that one machine makes a quarter of a
    microsecond apart sort by time, so that inserts touch the end of the primary key's index, a page of a list is a
    range of it, and what follows something within the same millisecond is listed after it.
    """
    milliseconds, step = divmod((time.time_ns() << 12) // 1_000_000, 1 << 12)
    random = int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=milliseconds << 80 | 0x7 << 76 | step << 64 | 0x2 << 62 | random)


def public_id(job_id: UUID) -> str:
    """A job's id as clients, Celery and Flower know it."""
    return prefixed(JOB, job_id)


def parse_public_id(text: str) -> UUID | None:
    """The job's id inside `text`, or None if it is not of the form that `public_id` gives."""
    return parse_prefixed(JOB, text)


def prefixed(prefix: str, value: UUID) -> str:
    """An id as it is shown."""
    return f"{prefix}_{value.hex}"


def parse_prefixed(prefix: str, text: str) -> UUID | None:
    """The id inside `text`, or None if it is not of the form that `prefixed` gives with this prefix."""
    given, _, digits = text.partition("_")
    return UUID(hex=digits) if given == prefix and _HEX.fullmatch(digits) else None
