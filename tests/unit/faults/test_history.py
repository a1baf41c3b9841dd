"""The history: appended by many threads, kept in a file, and its digest of a result in either dialect."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults.history import (
    Cancel,
    Create,
    DeadLetter,
    Delete,
    Fault,
    History,
    Listed,
    Purged,
    Read,
    Record,
    Sighting,
    code_of,
    ended_at_of,
    result_of,
    state_of,
)
from tests.unit.faults.records import CALL, CREATE, DELIVERY, ENDED, STREAM

ONE_OF_EACH: list[Record] = [
    replace(CREATE, canaries=("canary", "ünïcode")),
    ENDED,
    Cancel(1.5, None, "ada", "job", None, None),
    Delete(1.0, 2.0, "ada", "job", 200, deleted=True),
    STREAM,
    Listed(1.0, 2.0, "ada", "job", "queued", "canary"),
    CALL,
    DELIVERY,
    DeadLetter("job", "response.failed"),
    Sighting("canary", "logs"),
    Fault("freeze", 1.0, None, frozenset({"I9"})),
    Purged("job", 0.1 + 0.2),
]
BODY: dict[str, Any] = {
    "id": "resp_1",
    "status": "completed",
    "created_at": 1,
    "started_at": 2,
    "completed_at": 3,
    "expires_at": 4,
    "attempts": 1,
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "an answer"}]}],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}
FAILED: dict[str, Any] = {
    **{name: value for name, value in BODY.items() if name not in {"completed_at", "usage", "output"}},
    "status": "failed",
    "failed_at": 3,
    "output": [],
    "error": {"code": "timeout", "message": "It took too long.", "retryable": True},
}


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    assert {type(record) for record in ONE_OF_EACH} == set(Record.__args__)
    History(ONE_OF_EACH).save(tmp_path / "history.jsonl")
    loaded = list(History.load(tmp_path / "history.jsonl"))
    assert loaded == ONE_OF_EACH
    assert [hash(record) for record in loaded] == [hash(record) for record in ONE_OF_EACH]


def test_a_file_is_replaced(tmp_path: Path) -> None:
    History(ONE_OF_EACH).save(tmp_path / "history.jsonl")
    History([CREATE]).save(tmp_path / "history.jsonl")
    assert list(History.load(tmp_path / "history.jsonl")) == [CREATE]


def test_records_are_found_by_kind_in_their_order() -> None:
    history = History([CREATE, ENDED, replace(CREATE, canary="second")])
    assert [create.canary for create in history.of(Create)] == ["canary", "second"]
    assert history.of(Read) == [ENDED]


def test_many_threads_append_while_it_is_read() -> None:
    history = History()

    def append() -> None:
        for _ in range(500):
            history.append(CREATE)
            assert len(history.of(Create)) <= len(history)

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(history) == 2_000


def test_a_fault_excuses_no_loss() -> None:
    with pytest.raises(ValueError, match="excuse I9 alone"):
        Fault("kill", 1.0, None, frozenset({"I1", "I9"}))


def test_both_dialects_have_the_same_result() -> None:
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    openai = {**BODY, "usage": {**BODY["usage"], **details}, "error": None, "incomplete_details": None, "tools": []}
    assert result_of(openai) == result_of(BODY)


def test_both_dialects_have_the_same_failure() -> None:
    error = {"code": "server_error", "message": "It took too long.", "failure_code": "timeout", "retryable": True}
    zeros = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert result_of({**FAILED, "error": error, "usage": zeros}) == result_of(FAILED)
    assert code_of({**FAILED, "error": error}) == code_of(FAILED) == "timeout"
    assert code_of(BODY) is None


def test_an_answer_cut_off_is_a_completed_one_in_both_dialects() -> None:
    freddy = {**BODY, "incomplete_details": {"reason": "max_output_tokens"}}
    openai = {**freddy, "status": "incomplete", "completed_at": None}
    assert state_of(openai) == state_of(freddy) == "completed"
    assert result_of(openai) == result_of(freddy) != result_of(BODY)


@pytest.mark.parametrize("changed", ["output", "usage", "error", "attempts", "created_at", "started_at", "expires_at"])
def test_whatever_may_not_change_changes_the_digest(changed: str) -> None:
    others: dict[str, Any] = {"output": [], "usage": None, "error": {"code": "timeout", "message": "x"}}
    assert result_of({**BODY, changed: others.get(changed, 99)}) != result_of(BODY)


@pytest.mark.parametrize("state", ["queued", "in_progress"])
def test_before_its_end_a_job_has_no_result(state: str) -> None:
    assert result_of({**BODY, "status": state}) is None
    assert result_of({}) is None


def test_the_end_is_told_in_either_dialect() -> None:
    assert ended_at_of(BODY) == 3.0
    assert ended_at_of(FAILED) == 3.0
    assert ended_at_of({"cancelled_at": 7}) == 7.0
    assert ended_at_of({"completed_at": None}) is None
