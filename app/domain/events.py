"""The events of a job's stream: their numbers, how they are merged, and how a whole log is packed.

A stream is three announcements, the output, and the end:

    0 response.created   1 response.queued   2 response.in_progress   3 … the output …   n the terminal event

Only the output is written down, by the worker, as the *log*. All others follow from the job's row, so that they are
there without a worker and can't disagree with it. A job that ended before any worker took it has no number 2, and
its end comes right after `response.queued`.
"""

import json
import zlib
from collections.abc import Callable, Iterable
from uuid import UUID

from app.domain.ports import EventLog
from app.domain.requests import JSON

CREATED, QUEUED, IN_PROGRESS, FIRST_OUTPUT = range(4)
"""The sequence numbers of the announcements, and of the log's first event."""
PAGE = 1000
"""Events that one read of a running job's log returns, or all if there are fewer."""

_MERGEABLE = {
    "response.output_text.delta",
    "response.refusal.delta",
    "response.function_call_arguments.delta",
    "response.reasoning_summary_text.delta",
}
_PLACE = ("type", "item_id", "output_index", "content_index", "summary_index")


def merge(earlier: JSON, later: JSON) -> bool:
    """Take `later` into `earlier` if both are deltas of the same text; False if they are not."""
    if earlier["type"] not in _MERGEABLE:
        return False
    for name in _PLACE:
        if earlier.get(name) != later.get(name):
            return False
    earlier["delta"] += later["delta"]
    if later.get("logprobs"):
        earlier["logprobs"] = earlier["logprobs"] + later["logprobs"]
    return True


def encode(event: JSON) -> bytes:
    """One event of the log: JSON in one line."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def pack(events: Iterable[bytes]) -> bytes:
    """A whole log, compressed, as it is kept with the job."""
    return zlib.compress(b"\n".join(events))


def unpack(packed: bytes | None) -> list[bytes]:
    """The log's events back; none for a job without a log."""
    # No event is empty: an empty text is no event, not an empty one.
    return [event for event in zlib.decompress(packed).split(b"\n") if event] if packed else []


def item_id(prefix: str, job_id: UUID, index: int) -> str:
    """The id of an output item: the same in each try of the job."""
    return f"{prefix}_{job_id.hex}{index:04x}"


def log_closer(event_log: EventLog) -> Callable[[UUID], bytes | None]:
    """A function that closes a job's log and packs what it held: for whoever ends the job in its worker's stead."""

    def close(job_id: UUID) -> bytes | None:
        events = event_log.close(job_id)
        return pack(events) if events else None

    return close
