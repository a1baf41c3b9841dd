"""What was seen while faults were injected: one record for each thing, kept in memory and in a JSON-lines file."""

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

# All times are `time.time()` of one machine. `sent_at` is before the request left; `answered_at` is when the reply was
# whole, or when its connection broke, and None if the client gave up at its deadline. `status` is None without a
# reply: what became of the request is unknown. States are the contract's five words, see `state_of`.


@dataclass(frozen=True, slots=True)
class Create:
    """One request for a job. Retries of one logical request share its canary, a unique text in the prompt."""

    sent_at: float
    answered_at: float | None
    key: str
    """The name of the API key, never the secret."""
    canary: str
    idempotency_key: str | None
    status: int | None
    job_id: str | None
    max_attempts: int
    webhook: bool = False
    """Whether deliveries are owed for it (I7)."""
    echoed: bool = True
    """Whether its answer holds the canary. Some of the mock's directives replace the echo."""
    state: str | None = None
    """What the reply showed; a replay, or a create that waited, may show an end."""
    result: str | None = None
    canaries: tuple[str, ...] = ()
    """All canaries found in the reply."""
    patience: float = 0.0
    """Seconds the request itself asked the API to wait (`wait=N`), on top of the deadline."""


@dataclass(frozen=True, slots=True)
class Read:
    """One GET of a response, by its owner or by another key."""

    sent_at: float
    answered_at: float | None
    key: str
    job_id: str
    status: int | None
    state: str | None
    result: str | None = None
    canaries: tuple[str, ...] = ()
    ended_at: float | None = None
    """The reply's own time of the end, see `ended_at_of`."""
    code: str | None = None
    """Why the job failed, see `code_of`."""
    patience: float = 0.0


@dataclass(frozen=True, slots=True)
class Cancel:
    """One request to cancel."""

    sent_at: float
    answered_at: float | None
    key: str
    job_id: str
    status: int | None
    state: str | None
    result: str | None = None
    canaries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """One DELETE. `deleted`: the reply says that the job is gone; the Freddy dialect only cancels one that runs."""

    sent_at: float
    answered_at: float | None
    key: str
    job_id: str
    status: int | None
    state: str | None = None
    result: str | None = None
    canaries: tuple[str, ...] = ()
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """One reader's view of an event stream; `terminal` is the state its last event showed, None if it broke off."""

    key: str
    job_id: str
    opened_at: float
    closed_at: float
    sequence_numbers: tuple[int, ...]
    terminal: str | None
    result: str | None = None
    canaries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A job found in the key's list, or as a row of the table: also one whose create got no answer."""

    sent_at: float
    answered_at: float
    key: str
    job_id: str
    state: str
    canary: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """An upstream call from the mock's journal; an empty canary belongs to no job of the history."""

    canary: str
    attempt: int
    started_at: float
    ended_at: float | None
    ended: str | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that arrived; `status` is what the receiver answered."""

    job_id: str
    event_id: str
    event_type: str
    received_at: float
    signature_valid: bool
    status: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event whose deliveries were given up."""

    job_id: str
    event_type: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something private (a canary, or a secret's label) seen where it must not be: broker, logs, flower, metrics."""

    what: str
    place: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault from its injection to its end; `healed_at` is None for one that lasts to the end of the history."""

    name: str
    started_at: float
    healed_at: float | None
    excuses: frozenset[str] = frozenset()
    """`{"I9"}` for one that freezes the API itself: nobody can answer then."""

    def __post_init__(self) -> None:
        if self.excuses - {"I9"}:
            raise ValueError("A fault can excuse I9 alone: the other invariants hold whatever happens.")


@dataclass(frozen=True, slots=True)
class Purged:
    """A job's row was seen gone from the table, or purged by the test."""

    job_id: str
    at: float


Record = Create | Read | Cancel | Delete | Stream | Listed | Call | Delivery | DeadLetter | Sighting | Fault | Purged
Request = Create | Read | Cancel | Delete
"""What a client sends and waits for."""

R = TypeVar("R", bound=Record)
_KINDS: dict[str, type[Record]] = {kind.__name__: kind for kind in Record.__args__}
_ENDS = ("completed_at", "failed_at", "cancelled_at")


class History:
    """Records in the order they were appended; any thread may append."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records = list(records)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Record]:
        """Over a copy: appending goes on."""
        with self._lock:
            return iter(self._records.copy())

    def __len__(self) -> int:
        return len(self._records)

    def append(self, record: Record) -> None:
        with self._lock:
            self._records.append(record)

    def of(self, kind: type[R]) -> list[R]:
        """All records of one kind."""
        return [record for record in self if isinstance(record, kind)]

    def save(self, path: Path) -> None:
        """One JSON object for each record; an existing file is replaced."""
        with path.open("w", encoding="utf-8") as file:
            for record in self:
                file.write(json.dumps({"kind": type(record).__name__, **asdict(record)}, default=sorted) + "\n")

    @classmethod
    def load(cls, path: Path) -> "History":
        """What `save` wrote."""
        with path.open(encoding="utf-8") as file:
            return cls(_restored(json.loads(line)) for line in file)


def state_of(body: dict[str, Any]) -> str | None:
    """The job's state in a response object of either dialect; OpenAI's `incomplete` is a completed job."""
    status: str | None = body.get("status")
    return "completed" if status == "incomplete" else status


def ended_at_of(body: dict[str, Any]) -> float | None:
    """The time of the end in a response object, in whole seconds; None before it, or if the dialect leaves it out."""
    return next((float(body[name]) for name in _ENDS if body.get(name)), None)


def code_of(body: dict[str, Any]) -> str | None:
    """Why a job failed, in the words of both dialects; None for one that did not."""
    error = body.get("error") or {}
    code: str | None = error.get("failure_code") or error.get("code")
    return code


def result_of(body: dict[str, Any]) -> str | None:
    """A digest of what must never change once a job has ended, the same for both dialects; None before that."""
    if state_of(body) in (None, "queued", "in_progress"):
        return None
    usage, error = body.get("usage") or {}, body.get("error") or {}
    lasting = {
        # The Freddy dialect shows reasoning only to those who asked for it.
        "output": [item for item in body.get("output") or () if item.get("type") != "reasoning"],
        "usage": [usage.get(name, 0) for name in ("input_tokens", "output_tokens", "total_tokens")],
        "error": [code_of(body), error.get("message")],
        "incomplete": body.get("incomplete_details"),
        "times": [body.get(name) for name in ("created_at", "started_at", "expires_at")],
        "attempts": body.get("attempts"),
    }
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:16]


def _restored(line: dict[str, Any]) -> Record:
    kind = _KINDS[line.pop("kind")]
    return kind(**{name: _restored_value(name, value) for name, value in line.items()})


def _restored_value(name: str, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return frozenset(value) if name == "excuses" else tuple(value)
