"""Every two moves that can meet on one job, in two sessions, come out as one after the other."""

from collections.abc import Callable, Iterator
from itertools import product
from uuid import UUID

import pytest
from sqlalchemy import delete

from app.db.models import Job as JobTable
from app.domain.ids import new_id
from app.domain.jobs import SERVER_ERROR, Completed
from tests import rows
from tests.integration.db import lifecycle_moves as moves
from tests.integration.db import lifecycle_sweeps as sweeps
from tests.integration.db.lifecycle_model import AWAITED, read
from tests.integration.db.lifecycle_moves import Move
from tests.integration.db.lifecycle_races import Race, Sessions, open_sessions

KEY = "the job's idempotency key"
DONE = Completed([{"type": "message"}], None)
Makes = Callable[[UUID, UUID], Move]
"""A move of the job of an owner."""

WAITING: list[Makes] = [
    lambda job_id, _: moves.Take(job_id, "jobs@second"),
    lambda *_: sweeps.Expire(),
    lambda *_: sweeps.Redispatch(),
    moves.Cancel,
]
RUNNING: list[Makes] = [
    lambda job_id, _: moves.NextAttempt(job_id, 1),
    lambda job_id, _: moves.StartStreaming(job_id, 1),
    lambda job_id, _: moves.Settle(job_id, 1, DONE, b"all of it"),
    lambda job_id, _: moves.Settle(job_id, 1, SERVER_ERROR, b"some of it"),
    lambda job_id, _: moves.HandBack(job_id, 1),
    lambda job_id, _: moves.Heartbeat(((job_id, 1),)),
    lambda *_: sweeps.Rescue(),
    lambda *_: sweeps.StopOverdue(),
    moves.Cancel,
]
ENDED: list[Makes] = [
    moves.Delete,
    lambda *_: sweeps.Purge(),
    lambda _, owner: moves.Submit(new_id(), owner, KEY, max_attempts=1),
]
CLAIM: Makes = lambda job_id, _: moves.Take(job_id, "jobs@first")  # noqa: E731
STREAM: Makes = lambda job_id, _: moves.StartStreaming(job_id, 1)  # noqa: E731

# How the job came to be as it is, how many attempts it has, and what may happen next.
STATES: dict[str, tuple[list[Makes], int, list[Makes]]] = {
    "queued": ([], 3, WAITING),
    "running": ([CLAIM], 3, RUNNING),
    "in its last attempt": ([CLAIM], 1, RUNNING),
    "streaming": ([CLAIM, STREAM], 3, RUNNING),
    "ended": ([moves.Cancel], 3, ENDED),
}


@pytest.fixture(scope="module")
def sessions(postgres: str) -> Iterator[Sessions]:
    with open_sessions(postgres, "lifecycle_pairs") as made:
        yield made


@pytest.mark.parametrize(
    ("state", "commit", "early"),
    [
        *((state, True, False) for state in STATES),
        # In the other two states these would show nothing new.
        *((state, True, True) for state in ("queued", "running", "ended")),
        *((state, False, False) for state in ("queued", "running", "ended")),
    ],
)
def test_two_moves_of_one_job_count_one_after_the_other(
    sessions: Sessions, state: str, commit: bool, early: bool
) -> None:
    before, max_attempts, following = STATES[state]
    for first, second in product(following, repeat=2):
        job_id, owner = new_id(), sessions.owners[0]
        _arrange(sessions, [moves.Submit(job_id, owner, KEY, max_attempts), *(make(job_id, owner) for make in before)])
        world, _ = read(sessions.observer)
        race = Race(first(job_id, owner), second(job_id, owner), commit, early)
        answers = race.run(sessions)
        came_to = (*answers, read(sessions.observer)[0])
        allowed = list(race.outcomes(world))
        assert came_to in allowed, f"{race} from {world} came to {came_to}, which is none of {allowed}"


def _arrange(sessions: Sessions, history: list[Move]) -> None:
    """Leave one job with this history, and all its times in the past."""
    sessions.observer.execute(delete(JobTable))
    for move in history:
        assert move.write(sessions.observer)
    for job_id, row in read(sessions.observer)[0].items():
        times = dict.fromkeys(AWAITED[row.status], rows.EARLIER)
        rows.change(sessions.observer, job_id, **times)
