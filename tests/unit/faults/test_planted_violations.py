"""The checker of the fault harness finds each violation that is planted, and calls it by its name."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.faults.history import (
    Cancel,
    DeadLetter,
    Delete,
    Delivery,
    Fault,
    Listed,
    Purged,
    Read,
    Record,
    Sighting,
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
    HOOKED,
    JOB,
    MISSING,
    NAMED,
    OTHER,
    RUNNING,
    STREAM,
    at,
    found,
)

DOUBLE = (NAMED, at(NAMED, 5.0, job_id="job 2"), ENDED, replace(ENDED, job_id="job 2"))
DELETED = Delete(30.0, 31.0, "ada", "job", 200, deleted=True)
UNANSWERED = Read(30.0, None, "ada", "job", None, None)

WRONG: dict[str, tuple[str, Sequence[Record]]] = {
    "still queued": ("I1", (CREATE, replace(RUNNING, state="queued"))),
    "still in progress, and a webhook owed": ("I1", (HOOKED, RUNNING)),
    "still in progress": ("I1", (CREATE, RUNNING)),
    "never seen again": ("I1", (CREATE,)),
    "known by a replay, and not ended": ("I1", (replace(NAMED, status=None, job_id=None), at(NAMED, 8.0))),
    "back in the queue for good": ("I1", (CREATE, RUNNING, at(RUNNING, 30.0, state="queued"))),
    "only errors ever since": ("I1", (CREATE, at(ENDED, 30.0, status=503, state=None))),
    "gone before it ended": ("I1", (CREATE, RUNNING, at(MISSING, 10.0))),
    "gone at the instant it was there": ("I1", (*JOB, at(MISSING, 29.5), at(ENDED, 30.0))),
    "gone before its retention was over": ("I1", (*JOB, at(MISSING, 113.0))),
    "its row is gone too early": ("I1", (*JOB, Purged("job", 113.0))),
    "gone, though its delete was refused": (
        "I1",
        (*JOB, replace(DELETED, status=429, deleted=False), at(MISSING, 32.0)),
    ),
    "gone before it was deleted": ("I1", (*JOB, at(MISSING, 25.0, 26.0), replace(DELETED, status=404, deleted=False))),
    "gone after a stranger's delete": (
        "I1",
        (*JOB, replace(DELETED, key="bob", status=404, deleted=False), at(MISSING, 32.0)),
    ),
    "gone after a stranger's delete without a reply": (
        "I1",
        (*JOB, Delete(30.0, 31.0, "bob", "job", None), at(MISSING, 32.0)),
    ),
    "a delete without a reply that did nothing": (
        "I1",
        (CREATE, Delete(3.0, 4.0, "ada", "job", None), at(RUNNING, 30.0)),
    ),
    "two ends": ("I2", (*JOB, at(ENDED, 30.0, state="failed", canaries=()))),
    "two ends at once": ("I2", (*JOB, at(ENDED, 20.0, state="failed", canaries=()))),
    "two ends at once, with their results": (
        "I2",
        (*JOB, at(ENDED, 20.0, state="failed", result="another", canaries=())),
    ),
    "runs again, and ends again": ("I2", (*JOB, at(RUNNING, 30.0), at(ENDED, 40.0))),
    "runs again": ("I2", (*JOB, at(RUNNING, 30.0))),
    "queued again": ("I2", (*JOB, at(RUNNING, 30.0, state="queued"))),
    "a new result": ("I2", (*JOB, at(ENDED, 30.0, result="another"))),
    "a new result, at once and afterwards": (
        "I2",
        (*JOB, at(ENDED, 20.5, result="another"), at(ENDED, 30.0, result="another")),
    ),
    "a new error": ("I2", (CREATE, replace(ENDED, state="failed"), at(ENDED, 30.0, state="failed", result="another"))),
    "cancelled after it had completed": ("I2", (*JOB, Cancel(30.0, 31.0, "ada", "job", 200, "cancelled"))),
    "completed after it was cancelled": ("I2", (CREATE, Cancel(3.0, 4.0, "ada", "job", 200, "cancelled"), ENDED)),
    "cancelled by a delete, and completed": ("I2", (CREATE, Delete(3.0, 4.0, "ada", "job", 200, "cancelled"), ENDED)),
    "another end in the stream": ("I2", (*JOB, replace(STREAM, terminal="failed", canaries=()))),
    "runs on for the list": ("I2", (*JOB, Listed(30.0, 31.0, "ada", "job", "in_progress", "canary"))),
    "a replay that shows it running": ("I2", (NAMED, ENDED, at(NAMED, 30.0, state="in_progress"))),
    "an event twice": ("I2", (*JOB, replace(STREAM, sequence_numbers=(0, 1, 1, 2)))),
    "an event missing": ("I2", (*JOB, replace(STREAM, sequence_numbers=(0, 1, 3)))),
    "events out of order": ("I2", (*JOB, replace(STREAM, sequence_numbers=(0, 2, 1, 3)))),
    "two results at one instant": ("I3", (*JOB, at(ENDED, 21.0, result="another"))),
    "two results at once": ("I3", (*JOB, at(ENDED, 20.5, result="another"))),
    "a stream with another result": ("I3", (*JOB, replace(STREAM, closed_at=30.0, result="another"))),
    "two results of a replay and a read": (
        "I3",
        (NAMED, ENDED, at(NAMED, 20.5, state="completed", result="another", canaries=("canary",))),
    ),
    "the answer to something else": ("I3", (CREATE, replace(ENDED, canaries=("other",)), *OTHER)),
    "an answer to nothing": ("I3", (CREATE, replace(ENDED, canaries=()))),
    "the stream of something else": ("I3", (*JOB, *OTHER, replace(STREAM, canaries=("other",)))),
    "another key's answer in one's own": ("I4", (*JOB, BOBS, replace(BOBS_END, canaries=("bobs", "canary")))),
    "another key's canary in an error": (
        "I4",
        (*JOB, BOBS, BOBS_END, at(MISSING, 30.0, key="bob", canaries=("canary",))),
    ),
    "another key's canary in a create's reply": ("I4", (*JOB, replace(BOBS, canaries=("canary",)), BOBS_END)),
    "another key's canary in a stream": (
        "I4",
        (*JOB, BOBS, BOBS_END, Stream("bob", "bobs job", 2.0, 5.0, (0,), None, canaries=("canary",))),
    ),
    "read by another key": ("I4", (*JOB, at(ENDED, 30.0, key="bob", canaries=()))),
    "not modified, for another key": ("I4", (*JOB, Read(30.0, 31.0, "bob", "job", 304, None))),
    "streamed to another key": ("I4", (*JOB, Stream("bob", "job", 30.0, 31.0, (0,), None))),
    "streamed to its end for another key": ("I4", (*JOB, Stream("bob", "job", 30.0, 31.0, (0, 1), "failed"))),
    "streamed to another key after its delete": ("I4", (*JOB, DELETED, Stream("bob", "job", 40.0, 41.0, (0,), None))),
    "cancelled by another key": ("I4", (CREATE, Cancel(3.0, 4.0, "bob", "job", 200, None), ENDED)),
    "another key learns that it has ended": ("I4", (*JOB, Cancel(30.0, 31.0, "bob", "job", 400, None))),
    "deleted by another key": ("I4", (*JOB, replace(DELETED, key="bob"))),
    "in another key's list": ("I4", (*JOB, Listed(30.0, 31.0, "bob", "job", "completed"))),
    "one id for two keys": ("I4", (*JOB, replace(BOBS, sent_at=0.5, job_id="job"))),
    "seen in the log": ("I4", (*JOB, Sighting("canary", "logs"))),
    "a secret in the metrics": ("I4", (Sighting("secret of ada", "metrics"),)),
    "one call too many": ("I5", (*JOB, replace(CALL, attempt=2), replace(CALL, attempt=3))),
    "one call too many, though the list shows the job": (
        "I5",
        (*JOB, Listed(50.0, 51.0, "ada", "job", "completed", "canary"), CALL, CALL),
    ),
    "a call too many for a name": (
        "I5",
        (
            replace(NAMED, status=None, job_id=None),
            NAMED,
            ENDED,
            *(replace(CALL, attempt=number) for number in (1, 2, 3)),
        ),
    ),
    "called, though refused": ("I5", (replace(CREATE, status=429, job_id=None), CALL)),
    "a refused try allows no job": (
        "I5",
        (
            replace(CREATE, status=503),
            CREATE,
            ENDED,
            replace(CREATE, status=429, job_id=None),
            *(CALL for _ in range(5)),
        ),
    ),
    "two jobs for a name": ("I6", DOUBLE),
    "two jobs for a name, both purged in the end": ("I6", (*DOUBLE, MISSING, replace(MISSING, job_id="job 2"))),
    "two jobs for a name, one deleted later": ("I6", (*DOUBLE, DELETED)),
    "two jobs for a name, and another name": (
        "I6",
        (*DOUBLE, at(NAMED, 6.0, idempotency_key="twice", job_id="job 3"), replace(ENDED, job_id="job 3")),
    ),
    "a second job, which only the list shows": (
        "I6",
        (NAMED, ENDED, Listed(50.0, 51.0, "ada", "job 2", "completed", "canary")),
    ),
    "a second job, which only the table shows": (
        "I6",
        (NAMED, ENDED, Listed(50.0, 51.0, "ada", "job 2", "completed", None, "once")),
    ),
    "two jobs for two bodies of one name": (
        "I6",
        (NAMED, ENDED, at(NAMED, 5.0, canary="other", job_id="job 2"), OTHER[1]),
    ),
    "one job for two bodies of one name": ("I6", (NAMED, at(NAMED, 5.0, canary="other"), ENDED)),
    "one job for two names": ("I6", (NAMED, at(NAMED, 5.0, idempotency_key="twice"), ENDED)),
    "one job for two tries without a name": ("I6", (CREATE, at(CREATE, 5.0), ENDED)),
    "more jobs than requests": ("I6", (*JOB, Listed(50.0, 51.0, "ada", "job 2", "completed", "canary"))),
    "a job of what was refused": (
        "I6",
        (replace(CREATE, status=429, job_id=None), Listed(50.0, 51.0, "ada", "job", "completed", "canary")),
    ),
    "nobody was told": ("I7", (HOOKED, RUNNING, ENDED)),
    "nobody heard": ("I7", (HOOKED, ENDED, replace(DELIVERY, status=500))),
    "told with a false signature": ("I7", (HOOKED, ENDED, DELIVERY, replace(DELIVERY, signature_valid=False))),
    "told of another end": ("I7", (HOOKED, ENDED, DELIVERY, replace(DELIVERY, event_type="response.failed"))),
    "told as two events": ("I7", (HOOKED, ENDED, DELIVERY, replace(DELIVERY, event_id="event 2"))),
    "another event was given up": ("I7", (HOOKED, ENDED, DeadLetter("job", "response.failed"))),
    "a signature from nowhere": (
        "I7",
        (Delivery("x", "event", "response.completed", 1.0, signature_valid=False, status=200),),
    ),
    "never purged": ("I8", (*JOB, at(ENDED, 122.0))),
    "never purged, says the list": ("I8", (*JOB, Listed(122.0, 123.0, "ada", "job", "completed", "canary"))),
    "never purged, and its end was not shown": (
        "I8",
        (CREATE, replace(ENDED, ended_at=None), at(ENDED, 127.0, ended_at=None)),
    ),
    "back after a 404": ("I8", (*JOB, at(MISSING, 30.0), at(ENDED, 40.0))),
    "back after the purge": ("I8", (*JOB, Purged("job", 117.0), at(ENDED, 118.0))),
    "back after its delete": ("I8", (*JOB, DELETED, at(ENDED, 40.0))),
    "not modified after its delete": ("I8", (*JOB, DELETED, Read(40.0, 41.0, "ada", "job", 304, None))),
    "streamed after its delete": ("I8", (*JOB, DELETED, replace(STREAM, opened_at=40.0, closed_at=41.0))),
    "replayed after its delete": ("I8", (NAMED, ENDED, DELETED, at(NAMED, 40.0))),
    "back after a delete without a reply": (
        "I8",
        (*JOB, Delete(30.0, 31.0, "ada", "job", None), at(MISSING, 35.0), at(ENDED, 40.0)),
    ),
    "no answer": ("I9", (*JOB, UNANSWERED)),
    "a late answer": ("I9", (*JOB, at(ENDED, 30.0, 30.5 + DEADLINE))),
    "a late refusal": ("I9", (replace(CREATE, answered_at=DEADLINE + 1, status=503, job_id=None),)),
    "a connection that broke late": ("I9", (replace(CREATE, answered_at=DEADLINE + 1, status=None, job_id=None),)),
    "no answer to a cancel": ("I9", (*JOB, Cancel(30.0, None, "ada", "job", None, None))),
    "no answer to a delete": ("I9", (*JOB, Delete(30.0, None, "ada", "job", None))),
    "longer than was asked for": ("I9", (*JOB, at(ENDED, 30.0, 36.0 + DEADLINE, patience=5.0))),
    "no answer while something else is down": ("I9", (*JOB, UNANSWERED, Fault("no broker", 20.0, 60.0))),
    "no answer after the API has thawed": ("I9", (*JOB, UNANSWERED, Fault("freeze", 20.0, 29.0, frozenset({"I9"})))),
    "no answer before the API froze": (
        "I9",
        (*JOB, UNANSWERED, Fault("freeze", 31.0 + DEADLINE, None, frozenset({"I9"}))),
    ),
}


@pytest.mark.parametrize(("invariant", "records"), WRONG.values(), ids=WRONG)
def test_a_planted_violation_is_found(invariant: str, records: Sequence[Record]) -> None:
    assert found(*records) == {invariant}


@pytest.mark.parametrize(("invariant", "records"), WRONG.values(), ids=WRONG)
def test_it_is_found_whatever_the_order_of_the_records(invariant: str, records: Sequence[Record]) -> None:
    assert found(*reversed(records)) == {invariant}


def test_without_a_retention_nothing_may_ever_be_gone() -> None:
    assert found(*JOB, at(MISSING, 10_000.0), retention=None) == {"I1"}
