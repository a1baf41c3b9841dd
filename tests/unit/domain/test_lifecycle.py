"""Every move from every state, written out once more by hand."""

import pytest

from app.domain.errors import IllegalMoveError
from app.domain.lifecycle import ACTIVE, TERMINAL, Move, Status

# Where each move leads from each state; what is not here must be refused.
LEADS = {
    (Move.CLAIM, Status.QUEUED): Status.IN_PROGRESS,
    (Move.COMPLETE, Status.IN_PROGRESS): Status.COMPLETED,
    (Move.FAIL, Status.IN_PROGRESS): Status.FAILED,
    (Move.EXPIRE, Status.QUEUED): Status.FAILED,
    (Move.REQUEUE, Status.IN_PROGRESS): Status.QUEUED,
    (Move.CANCEL, Status.QUEUED): Status.CANCELLED,
    (Move.CANCEL, Status.IN_PROGRESS): Status.CANCELLED,
}


def test_the_words_are_the_contracts() -> None:
    assert [status.value for status in Status] == ["queued", "in_progress", "completed", "failed", "cancelled"]


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("move", Move)
def test_every_move_from_every_state(move: Move, status: Status) -> None:
    target = LEADS.get((move, status))
    if target:
        assert move.check(status) is target
        return
    with pytest.raises(IllegalMoveError) as refused:
        move.check(status)
    assert status in refused.value.message
    assert move in refused.value.message


@pytest.mark.parametrize("move", Move)
def test_sources_and_target_say_the_same_as_check(move: Move) -> None:
    assert move.sources == {status for wanted, status in LEADS if wanted is move}
    assert {move.target} == {target for (wanted, _), target in LEADS.items() if wanted is move}


def test_terminal_and_active_states_are_all_states() -> None:
    assert {Status.COMPLETED, Status.FAILED, Status.CANCELLED} == TERMINAL
    assert {Status.QUEUED, Status.IN_PROGRESS} == ACTIVE
    assert {status for status in Status if status.terminal} == TERMINAL


def test_no_move_leaves_a_terminal_state_and_each_active_state_can_be_left() -> None:
    left = frozenset[Status]().union(*(move.sources for move in Move))
    assert left == ACTIVE
