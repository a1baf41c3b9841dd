"""What a prefork child does around its task, in this process with a real signal."""

import threading
import time
from typing import Any

import pytest
from billiard.exceptions import Terminated

from tests.unit.workers.conftest import DEADLINE
from workers import pool as pools
from workers.pool import ABORTED, abort


@pytest.mark.parametrize("swallow", [(), BaseException], ids=["raised", "swallowed"])
def test_prefork_child_ends_an_aborted_task_as_terminated(swallow: Any) -> None:
    def target(name: str, task_id: str) -> str:
        threading.Timer(0.1, abort, [task_id]).start()
        try:
            time.sleep(DEADLINE)
        except swallow:
            return "went on"
        return "never interrupted"

    started = time.monotonic()
    with pytest.raises(Terminated, match=ABORTED):
        pools._run_in_child(target, "some.task", "task-1")
    assert time.monotonic() - started < DEADLINE


def test_prefork_child_passes_results_and_errors_on() -> None:
    assert pools._run_in_child(lambda name, task_id, x: (name, task_id, x), "some.task", "task-1", 5) == (
        "some.task",
        "task-1",
        5,
    )
    with pytest.raises(ZeroDivisionError):
        pools._run_in_child(lambda *_: 1 / 0, "some.task", "task-1")
    assert not abort("task-1"), "it has ended"


def test_signal_that_comes_after_the_end_of_a_prefork_task_harms_nothing() -> None:
    assert pools._run_in_child(lambda *_: "done", "some.task", "task-1") == "done"
    pools._child.aborted = True
    pools._raise_aborted()
    assert pools._run_in_child(lambda *_: "done", "some.task", "task-2") == "done"
