"""A few right records, to build histories of, and the invariants that a history violates."""

from dataclasses import replace
from typing import Any

from tests.faults.checker import check
from tests.faults.history import (
    Call,
    Create,
    Delivery,
    History,
    Read,
    Record,
    Stream,
)

DEADLINE = 10.0
RETENTION = 100.0
GRACE = 5.0

CREATE = Create(0.0, 1.0, "ada", "canary", None, 200, "job", 2)
RUNNING = Read(2.0, 3.0, "ada", "job", 200, "in_progress")
ENDED = Read(20.0, 21.0, "ada", "job", 200, "completed", "result", ("canary",), ended_at=15.0)
CALL = Call("canary", 1, 4.0, 5.0, "answered", 200)
MISSING = Read(130.0, 131.0, "ada", "job", 404, None)
JOB = (CREATE, RUNNING, ENDED, CALL)
NAMED = replace(CREATE, idempotency_key="once")
OTHER = (replace(CREATE, canary="other", job_id="job 2"), replace(ENDED, job_id="job 2", canaries=("other",)))
BOBS = Create(0.0, 1.0, "bob", "bobs", None, 200, "bobs job", 2)
BOBS_END = Read(8.0, 9.0, "bob", "bobs job", 200, "completed", "bobs result", ("bobs",), ended_at=7.0)
STREAM = Stream("ada", "job", 2.0, 16.0, (0, 1, 2, 3), "completed", "result", ("canary",))
HOOKED = replace(CREATE, webhook=True)
DELIVERY = Delivery("job", "event", "response.completed", 16.0, signature_valid=True, status=200)


def found(*records: Record, **terms: Any) -> set[str]:
    """The invariants that these records violate."""
    promised = {"deadline": DEADLINE, "retention": RETENTION, "purge_grace": GRACE, **terms}
    violations = check(History(records), **promised)
    assert all(violation.evidence and violation.detail.endswith(".") for violation in violations)
    return {violation.invariant for violation in violations}


def at(record: Any, sent_at: float, answered_at: float | None = None, **changes: Any) -> Any:
    """The same, asked at another time; answered half a second later if nothing else is said."""
    return replace(
        record, sent_at=sent_at, answered_at=sent_at + 0.5 if answered_at is None else answered_at, **changes
    )
