"""Turns are given in the order in which they were asked for, and none is lost."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.db.turns import Turns, TurnTimeoutError
from tests.processes import wait_until

PATIENCE = 30.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as made:
        yield made


def _waiting(turns: Turns, number: int) -> None:
    wait_until(lambda: len(turns._waiting) == number, PATIENCE, f"{number} wait")


def test_there_are_as_many_turns_as_said() -> None:
    turns = Turns(2)
    with turns.turn(0), turns.turn(0), pytest.raises(TurnTimeoutError), turns.turn(0.01):
        raise AssertionError("a third turn of two")
    with turns.turn(0), turns.turn(0):
        pass


def test_who_asks_at_once_again_does_not_come_before_who_waits(threads: ThreadPoolExecutor) -> None:
    turns = Turns(1)
    order: list[str] = []
    begun = threading.Event()

    def first() -> None:
        with turns.turn(PATIENCE):
            begun.set()
            _waiting(turns, 1)
        # As a request does that goes from one transaction to the next.
        with turns.turn(PATIENCE):
            order.append("first, again")

    def second() -> None:
        begun.wait(PATIENCE)
        with turns.turn(PATIENCE):
            order.append("second")

    for result in [threads.submit(first), threads.submit(second)]:
        result.result(PATIENCE)
    assert order == ["second", "first, again"]


def test_turns_come_in_the_order_of_the_questions(threads: ThreadPoolExecutor) -> None:
    turns = Turns(1)
    order: list[int] = []

    def ask(number: int) -> None:
        with turns.turn(PATIENCE):
            order.append(number)

    with turns.turn(PATIENCE):
        results = []
        for number in range(10):
            results.append(threads.submit(ask, number))
            _waiting(turns, number + 1)
    for result in results:
        result.result(PATIENCE)
    assert order == list(range(10))


def test_who_gave_up_is_passed_over(threads: ThreadPoolExecutor) -> None:
    turns = Turns(1)

    def ask(timeout: float) -> str:
        with turns.turn(timeout):
            return "served"

    with turns.turn(PATIENCE):
        hasty = threads.submit(ask, 0.05)
        _waiting(turns, 1)
        patient = threads.submit(ask, PATIENCE)
        with pytest.raises(TurnTimeoutError):
            hasty.result(PATIENCE)
        _waiting(turns, 1)
    assert patient.result(PATIENCE) == "served"
    assert turns._free == 1


def test_a_turn_that_was_handed_to_who_just_gave_up_is_not_lost() -> None:
    turns = Turns(1)
    turns._free = 0
    taken = threading.Lock()
    # As if the holder had handed its turn over between the time-out and the leaving.
    turns._leave(taken)
    with turns.turn(0):
        pass


def test_an_error_in_the_block_gives_the_turn_back() -> None:
    turns = Turns(1)
    with pytest.raises(RuntimeError), turns.turn(0):
        raise RuntimeError
    with turns.turn(0):
        pass
