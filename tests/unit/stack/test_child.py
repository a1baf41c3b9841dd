"""The pauses before a restart, the words for an end, and what the guard remembers."""

import signal

import pytest

from app.stack.child import LONGEST_PAUSE, pause_before, why
from app.stack.guard import watch


def test_pauses_double_up_to_a_limit() -> None:
    pauses = [pause_before(failures) for failures in range(1, 12)]
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


@pytest.mark.parametrize(
    ("returncode", "words"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-9, "was killed by SIGKILL"),
        (-40, "was killed by signal 40"),
    ],
)
def test_an_end_is_told_in_words(returncode: int, words: str) -> None:
    assert why(returncode) == words


def test_the_guard_remembers_what_has_not_ended_oldest_first() -> None:
    lines = ["10 15\n", "11 2\n", "12 15\n", "-11\n", "-99\n"]
    assert watch(lines) == [(10, signal.SIGTERM), (12, signal.SIGTERM)]
