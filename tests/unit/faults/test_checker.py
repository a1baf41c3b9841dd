"""The checker of the fault harness passes what is right, at the edges too."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.faults.checker import check
from tests.faults.history import (
    Call,
    Cancel,
    DeadLetter,
    Delete,
    Fault,
    History,
    Listed,
    Purged,
    Read,
    Record,
    Stream,
)
from tests.unit.faults.records import (
    BOBS,
    BOBS_END,
    CALL,
    CREATE,
    DEADLINE,
    DELIVERY,
    ENDED,
    GRACE,
    HOOKED,
    JOB,
    MISSING,
    NAMED,
    RUNNING,
    STREAM,
    at,
    found,
)

RIGHT: dict[str, Sequence[Record]] = {
    "nothing": (),
    "one job": JOB,
    "two keys": (*JOB, BOBS, BOBS_END),
    "a stream to its end": (*JOB, STREAM),
    "a stream that broke off": (*JOB, replace(STREAM, terminal=None, result=None, sequence_numbers=(0, 1))),
    "a stream taken up again": (*JOB, replace(STREAM, sequence_numbers=(5, 6, 7))),
    "a stream that broke off after the end": (
        *JOB,
        replace(STREAM, opened_at=30.0, closed_at=31.0, terminal=None, result=None, sequence_numbers=(0, 1)),
    ),
    "a reader that saw nothing of the stream": (*JOB, replace(STREAM, terminal=None, result=None, sequence_numbers=())),
    "a stream in which nobody looked for canaries": (*JOB, replace(STREAM, canaries=())),
    "requeued": (CREATE, RUNNING, at(RUNNING, 4.0, state="queued"), at(RUNNING, 6.0), ENDED),
    # I1
    "a create without reply that left nothing": (replace(CREATE, status=None, job_id=None),),
    "a refused create": (replace(CREATE, status=429, job_id=None),),
    "purged on its day": (*JOB, MISSING),
    "purged at the first moment": (*JOB, at(MISSING, 114.5)),
    "purged on its day, and replayed before": (
        NAMED,
        ENDED,
        at(NAMED, 100.0, state="completed", result="result", canaries=("canary",)),
        MISSING,
    ),
    "purged unseen": (CREATE, RUNNING, MISSING),
    "deleted": (*JOB, Delete(30.0, 31.0, "ada", "job", 200, deleted=True), at(MISSING, 32.0)),
    "deleted, without a reply": (*JOB, Delete(30.0, 31.0, "ada", "job", None), at(MISSING, 32.0)),
    "read before its delete was answered": (
        *JOB,
        Delete(30.0, 33.0, "ada", "job", 200, deleted=True),
        at(ENDED, 31.0),
        at(MISSING, 31.0),
    ),
    "a stream of what is deleted": (
        *JOB,
        Delete(30.0, 31.0, "ada", "job", 200, deleted=True),
        Stream("ada", "job", 40.0, 41.0, (), None),
    ),
    "deleted while it ran": (CREATE, RUNNING, Delete(30.0, 31.0, "ada", "job", 200, deleted=True)),
    "deleted while it ran, without a reply": (CREATE, RUNNING, Delete(30.0, 31.0, "ada", "job", None)),
    "cancelled by a delete": (CREATE, Delete(3.0, 4.0, "ada", "job", 200, "cancelled", "result")),
    "known by a replay alone": (
        replace(NAMED, status=None, job_id=None),
        at(NAMED, 8.0, state="completed", result="result", canaries=("canary",)),
    ),
    "reads that failed": (*JOB, at(ENDED, 30.0, status=503, state=None), at(ENDED, 40.0, status=None, state=None)),
    # I2, I3
    "reads that overlap the end": (CREATE, at(ENDED, 10.0, 19.0), at(RUNNING, 11.0, 18.0), ENDED),
    "read at the instant of the end": (*JOB, at(RUNNING, 21.0)),
    "unchanged, says 304": (*JOB, at(ENDED, 30.0, status=304, state=None, result=None, canaries=())),
    "cancelled twice": (
        CREATE,
        Cancel(3.0, 4.0, "ada", "job", 200, "cancelled", "none"),
        Cancel(5.0, 6.0, "ada", "job", 200, "cancelled", "none"),
    ),
    "cancelled too late": (*JOB, Cancel(30.0, 31.0, "ada", "job", 400, None)),
    "an answer that is no echo": (replace(CREATE, echoed=False), replace(ENDED, canaries=())),
    "failed, without an answer": (CREATE, replace(ENDED, state="failed", canaries=())),
    # I4
    "a stranger who learns nothing": (
        *JOB,
        *(
            at(ENDED, 30.0, key="bob", status=status, state=None, canaries=())
            for status in (401, 403, 404, 429, 500, 503)
        ),
        Read(30.0, 31.0, "bob", "job", None, None),
        replace(STREAM, key="bob", sequence_numbers=(), terminal=None, result=None, canaries=()),
    ),
    "an id that nobody was given": (Read(1.0, 2.0, "bob", "guess", 404, None),),
    "jobs of an earlier load": (
        Listed(1.0, 2.0, "ada", "old", "completed", "older canary"),
        Listed(1.0, 2.0, "ada", "old 2", "completed"),
        Read(1.0, 2.0, "ada", "old", 200, "completed", "x", ("older canary",)),
        Call("older canary", 1, 0.0, 1.0, "answered", 200),
    ),
    # I5
    "as many calls as allowed": (*JOB, replace(CALL, attempt=2)),
    "called for a create without a reply": (replace(NAMED, status=None, job_id=None), CALL),
    "a job of a create that stumbled": (
        replace(CREATE, status=500, job_id=None),
        *JOB,
        *(replace(CALL, attempt=attempt) for attempt in (2, 3, 4)),
    ),
    "one job for each try without a name": (
        replace(CREATE, status=None, job_id=None),
        *JOB,
        *(replace(CALL, attempt=attempt) for attempt in (2, 3, 4)),
    ),
    # I6
    "replayed": (NAMED, at(NAMED, 5.0), ENDED),
    "found by its list": (
        replace(NAMED, status=None, job_id=None),
        Listed(50.0, 51.0, "ada", "job", "completed", "canary"),
    ),
    "two tries without a name, two jobs": (
        CREATE,
        ENDED,
        at(CREATE, 2.0, job_id="job 2"),
        replace(ENDED, job_id="job 2"),
    ),
    "a name used again after a delete": (
        NAMED,
        ENDED,
        Delete(30.0, 31.0, "ada", "job", 200, deleted=True),
        at(NAMED, 40.0, job_id="job 2"),
        at(ENDED, 50.0, job_id="job 2", ended_at=45.0),
    ),
    "a name used again after a delete without a reply": (
        NAMED,
        ENDED,
        Delete(30.0, 31.0, "ada", "job", None),
        at(NAMED, 40.0, job_id="job 2"),
        at(ENDED, 50.0, job_id="job 2", ended_at=45.0),
    ),
    "a name used again after the purge": (
        NAMED,
        ENDED,
        MISSING,
        at(NAMED, 140.0, job_id="job 2"),
        at(ENDED, 150.0, job_id="job 2", ended_at=145.0),
    ),
    "one name of two keys": (NAMED, ENDED, replace(BOBS, idempotency_key="once"), BOBS_END),
    "a name refused to another body": (NAMED, ENDED, at(NAMED, 5.0, canary="other", status=422, job_id=None)),
    # I7
    "delivered": (HOOKED, ENDED, DELIVERY),
    "delivered at the second try": (HOOKED, ENDED, replace(DELIVERY, status=500), DELIVERY),
    "delivered for a job of an earlier load": (replace(DELIVERY, job_id="old"),),
    "undeliverable": (HOOKED, ENDED, replace(DELIVERY, status=500), DeadLetter("job", "response.completed")),
    "cut off, and told so": (HOOKED, ENDED, replace(DELIVERY, event_type="response.incomplete")),
    # I8
    "read in its last moment": (*JOB, at(ENDED, 116.0 + GRACE)),
    "read at the instant of its purge": (*JOB, at(ENDED, 116.0), Purged("job", 116.0)),
    "read when it went": (*JOB, at(ENDED, 115.0, 117.0), at(MISSING, 115.5, 116.5), Purged("job", 116.0)),
    # I9
    "answered on the deadline": (at(CREATE, 0.0, DEADLINE), ENDED),
    "waited for as asked": (*JOB, at(ENDED, 30.0, 30.0 + DEADLINE + 5, patience=5.0)),
    "cut off": (*JOB, at(ENDED, 30.0, status=None, state=None)),
    "not answered by an API that stayed frozen": (
        *JOB,
        Read(30.0, None, "ada", "job", None, None),
        Fault("freeze", 35.0, None, frozenset({"I9"})),
    ),
    "not answered by a frozen API": (
        *JOB,
        Read(30.0, None, "ada", "job", None, None),
        Fault("freeze", 35.0, 60.0, frozenset({"I9"})),
    ),
}


@pytest.mark.parametrize("records", RIGHT.values(), ids=RIGHT)
def test_a_right_history_passes(records: Sequence[Record]) -> None:
    assert found(*records) == set()


@pytest.mark.parametrize("records", RIGHT.values(), ids=RIGHT)
def test_the_order_in_which_it_was_written_down_means_nothing(records: Sequence[Record]) -> None:
    assert found(*reversed(records)) == set()


def test_without_a_retention_ended_jobs_stay() -> None:
    assert found(*JOB, at(ENDED, 10_000.0), retention=None) == set()


def test_violations_come_in_the_order_of_the_invariants() -> None:
    late, lost = replace(BOBS, answered_at=None, status=None, job_id=None), CREATE
    assert [violation.invariant for violation in check(History([late, lost]), deadline=DEADLINE)] == ["I1", "I9"]
