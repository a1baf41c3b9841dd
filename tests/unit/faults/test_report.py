"""The report of a history: what it counts, and how it says so."""

from dataclasses import replace

from tests.faults.checker import check
from tests.faults.history import Fault, History
from tests.faults.report import render, summary
from tests.unit.faults.records import BOBS, BOBS_END, CALL, CREATE, ENDED, JOB, STREAM, at

REFUSED = at(BOBS, 2.0, canary="refused", status=429, job_id=None)
UNKNOWN = replace(BOBS, canary="unknown", status=None, job_id=None)
FAILED = replace(BOBS_END, state="failed", code="timeout", canaries=())


def test_it_counts_what_was_tried() -> None:
    seen = summary(History([*JOB, BOBS, FAILED, FAILED, REFUSED, UNKNOWN, STREAM, replace(CALL, attempt=2)]))
    assert (seen.jobs, seen.accepted, seen.refused, seen.unknown) == (2, 2, 1, 1)
    assert seen.states == {"completed": 1, "failed": 1}
    assert seen.codes == {"timeout": 1}
    assert (seen.calls, seen.reruns, seen.reads, seen.streams) == (2, 1, 4, 1)
    assert seen.answer_times
    assert seen.answer_times[2] == 1.0


def test_recovery_is_the_time_until_a_later_job_has_completed() -> None:
    later = at(CREATE, 40.0, canary="later", job_id="later")
    done = at(ENDED, 44.0, 45.0, job_id="later", canaries=("later",))
    healed, killed, last = Fault("freeze", 10.0, 30.0), Fault("kill", 38.0, None), Fault("late", 41.0, 42.0)
    seen = summary(History([*JOB, later, done, last, killed, healed]))
    assert [(recovery.fault.name, recovery.seconds) for recovery in seen.recoveries] == [
        ("freeze", 15.0),
        ("kill", 7.0),
        ("late", None),
    ]


def test_a_job_that_was_there_before_the_fault_is_no_recovery() -> None:
    assert summary(History([*JOB, Fault("freeze", 5.0, 10.0)])).recoveries[0].seconds is None


def test_an_empty_history_is_told_as_such() -> None:
    text = render(History(), [])
    assert "jobs        0: none" in text
    assert "violations  0" in text


def test_the_text_names_faults_and_violations() -> None:
    history = History([CREATE, replace(BOBS, answered_at=None, status=None, job_id=None), Fault("freeze", 5.0, 10.0)])
    text = render(history, check(history, deadline=10.0))
    assert "  freeze: 1, 1 without a job after it" in text
    assert "  I1 job: It was accepted, and never seen again." in text
    assert "     Create(sent_at=0.0" in text
    assert "violations  2" in text


def test_the_longest_recovery_of_a_fault_is_told() -> None:
    text = render(History([*JOB, Fault("freeze", -9.0, -8.0), Fault("freeze", -9.0, -5.0)]), [])
    assert "  freeze: 2, recovered within 29.0 s" in text


def test_only_so_many_violations_are_told_in_full() -> None:
    history = History([replace(CREATE, canary=f"canary {number}", job_id=f"job {number}") for number in range(25)])
    text = render(history, check(history, deadline=10.0))
    assert text.count("  I1 ") == 20
    assert text.endswith("… and 5 more")
