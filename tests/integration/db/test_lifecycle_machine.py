"""Any order of everything that can happen to jobs, from two sessions at once, does what the model says (I1 to I3)."""

import os
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import delete

from app.db import lookup
from app.db.models import Job as JobTable
from app.domain.ids import new_id
from app.domain.jobs import SERVER_ERROR, Completed, JobFilter
from app.domain.lifecycle import TERMINAL, Status
from tests import rows
from tests.integration.db import lifecycle_moves as moves
from tests.integration.db import lifecycle_sweeps as sweeps
from tests.integration.db.lifecycle_model import AWAITED, Time, World, read
from tests.integration.db.lifecycle_moves import Move
from tests.integration.db.lifecycle_races import Race, Sessions, open_sessions

T = TypeVar("T")

EXAMPLES = int(os.environ.get("SIMMER_FUZZ_EXAMPLES", "30"))
"""Histories that are made up."""
SEED = int(os.environ.get("SIMMER_FUZZ_SEED", "1"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    database=None,
    # Not to explain, which takes minutes: the shortest history that fails says enough.
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
SHRINKING = 300.0
"""Seconds that Hypothesis takes at most to shorten a history that fails."""

KEY = "the idempotency key of each owner"
SWEEPS: dict[str, tuple[Move, Time]] = {
    "rescue": (sweeps.Rescue(), Time.LEASE),
    "stop": (sweeps.StopOverdue(), Time.RUN),
    "expire": (sweeps.Expire(), Time.QUEUE),
    "redispatch": (sweeps.Redispatch(), Time.REDISPATCH),
    "purge": (sweeps.Purge(), Time.RETENTION),
}
OF_CLAIM = ["beat", "stream", "complete", "fail", "hand back", "attempt"]
OF_JOB = ["claim", "cancel", "delete"]
FITTING = {
    Status.QUEUED: ["claim", "claim", "claim", "expire", "redispatch", "cancel"],
    Status.IN_PROGRESS: [*OF_CLAIM, "rescue", "stop", "cancel"],
    **{ended: ["delete", "purge", "submit"] for ended in TERMINAL},
}
"""What can do something to a job in each state."""


class Choice(NamedTuple):
    """A move, before it is known what there is. A number is one of those that fit the job's state; `job` and `claim`
    count back from the newest; `late` has a time pass first that the job's state awaits.
    """

    kind: str | int
    job: int
    claim: int
    actor: str
    late: bool


# Mostly what has an effect, and the same few jobs, so that moves meet.
CHOICES = st.builds(
    Choice,
    st.sampled_from([*range(18), *SWEEPS, *OF_CLAIM, *OF_JOB, "submit"]),
    st.sampled_from([0, 0, 0, 1, 1, 2]),
    st.sampled_from([0, 0, 0, 1, 1, 2]),
    st.sampled_from(["owner", "owner", "owner", "stranger", "administrator"]),
    st.booleans(),
)


class LifecycleMachine(RuleBasedStateMachine):
    """The product's table on one side, the model's on the other."""

    def __init__(self, sessions: Sessions) -> None:
        super().__init__()
        self.sessions = sessions
        self.owners = sessions.owners
        self.world: World = {}
        self.ends: dict[UUID, str] = {}
        # The owner of every job there ever was, and all fencing tokens ever given out for it: the old ones are tried
        # too. Zero is that of a worker which has seen the job waiting.
        self.submitted: dict[UUID, UUID] = {}
        self.tokens: defaultdict[UUID, list[int]] = defaultdict(lambda: [0])
        self.made = 0
        self.agrees = True
        sessions.observer.execute(delete(JobTable))

    @initialize()
    def start(self) -> None:
        for owner in self.owners:
            job_id = new_id()
            self._do(moves.Submit(job_id, owner, KEY, max_attempts=3))
            self._do(moves.Take(job_id, "jobs@first"))
            self._do(moves.NextAttempt(job_id, 1))

    # One rule: of several, Hypothesis leaves some out.
    @rule(
        first=CHOICES,
        second=CHOICES,
        alone=st.sampled_from([False, False, True]),
        meet=st.sampled_from([True, True, True, False]),
        commit=st.sampled_from([True, True, True, False]),
        early=st.booleans(),
    )
    def act(self, first: Choice, second: Choice, alone: bool, meet: bool, commit: bool, early: bool) -> None:
        if alone:
            self._do(self._chosen(first), commit=commit)
            return
        rival = second._replace(job=first.job) if meet else second
        race = Race(self._chosen(first), self._chosen(rival), commit, early)
        note(f"{race} from {self.world}")
        answers = race.run(self.sessions)
        self._compare(answers, race.outcomes(self.world))
        if commit:
            self._learn(race.first, answers[0])
        self._learn(race.second, answers[1])

    def teardown(self) -> None:
        """Whatever has happened, owners see their own jobs, and every job can be brought to an end, and purged."""
        if not self.agrees:
            return
        self._look()
        # A lost worker's job is queued once more; if nobody takes it, it expires.
        for kind in ("rescue", "expire", "purge"):
            sweep, time = SWEEPS[kind]
            for job_id in self.world:
                self._let_pass(job_id, time)
            self._do(sweep)
        assert not self.world

    def _look(self) -> None:
        for owner in self.owners:
            own = [job_id for job_id, row in self.world.items() if row.owner == owner and not row.due(Time.RETENTION)]
            page, _ = lookup.page(self.sessions.observer, owner, JobFilter(limit=100))
            assert {job.id: job.status for job in page} == {job_id: self.world[job_id].status for job_id in own}

    def _do(self, move: Move, *, commit: bool = True) -> None:
        note(f"{move} from {self.world}")
        with self.sessions.database.transaction() as connection:
            answer = move.write(connection)
            if not commit:
                connection.rollback()
        effect = move.expect(self.world)
        self._compare((answer,), [(effect.answer, effect.on(self.world) if commit else self.world)])
        if commit:
            self._learn(move, answer)

    def _compare(self, answers: tuple[object, ...], outcomes: Iterable[tuple[object, ...]]) -> None:
        self.agrees = False
        world, ends = read(self.sessions.observer)
        allowed = list(outcomes)
        assert (*answers, world) in allowed, f"{(*answers, world)} is none of {allowed}"
        # Without the model, byte by byte: an end stays as it was first seen.
        changed = [job_id for job_id, image in self.ends.items() if ends.get(job_id, image) != image]
        assert not changed, f"jobs {changed} changed after their end"
        self.world, self.ends, self.agrees = world, {**self.ends, **ends}, True

    def _learn(self, move: Move, answer: object) -> None:
        """What the callers of a move know from now on."""
        if isinstance(move, moves.Submit) and answer == move.job_id:
            self.submitted[move.job_id] = move.owner
        elif isinstance(move, moves.Take | moves.NextAttempt) and isinstance(answer, int):
            self.tokens[move.job_id].append(answer)

    def _let_pass(self, job_id: UUID, time: Time) -> None:
        """Put a time of the job into the past, if its state awaits it."""
        row = self.world.get(job_id)
        if row and time in AWAITED[row.status]:
            rows.change(self.sessions.observer, job_id, **{time: rows.EARLIER})
            self.world = {**self.world, job_id: row.let_pass(time)}

    def _chosen(self, choice: Choice) -> Move:
        self.made += 1
        job_id = _back(list(self.submitted), choice.job)
        row = self.world.get(job_id)
        fitting = FITTING[row.status] if row else ["submit"]
        kind = fitting[choice.kind % len(fitting)] if isinstance(choice.kind, int) else choice.kind
        awaited = SWEEPS[kind][1] if kind in SWEEPS else Time.LEASE
        if choice.late:
            self._let_pass(job_id, awaited)
        if kind in SWEEPS:
            return SWEEPS[kind][0]
        if kind in OF_CLAIM:
            return self._of_claim(kind, job_id, _back(self.tokens[job_id], choice.claim))
        return self._of_job(kind, job_id, choice)

    def _of_job(self, kind: str, job_id: UUID, choice: Choice) -> Move:
        owner = self.submitted[job_id]
        stranger = next(somebody for somebody in self.owners if somebody != owner)
        by = stranger if choice.actor == "stranger" else owner
        match kind:
            case "submit":
                return moves.Submit(new_id(), by, None if choice.claim else KEY, max_attempts=1 + self.made % 3)
            case "claim":
                return moves.Take(job_id, f"jobs@{self.made}")
            case "delete":
                return moves.Delete(job_id, by)
        return moves.Cancel(job_id, None if choice.actor == "administrator" else by)

    def _of_claim(self, kind: str, job_id: UUID, token: int) -> Move:
        match kind:
            case "attempt":
                return moves.NextAttempt(job_id, token)
            case "stream":
                return moves.StartStreaming(job_id, token)
            case "hand back":
                return moves.HandBack(job_id, token)
            case "beat":
                others = [(other, tokens[-1]) for other, tokens in self.tokens.items() if other != job_id]
                return moves.Heartbeat(((job_id, token), *others))
        outcome = SERVER_ERROR if kind == "fail" else Completed([{"result": self.made}], None)
        return moves.Settle(job_id, token, outcome, b"log %d" % self.made)


def _back(found: list[T], number: int) -> T:
    """So many back from the last one, round and round."""
    return found[-1 - number % len(found)]


@pytest.mark.timeout(SHRINKING + 2 * EXAMPLES)
def test_every_history_is_one_that_the_model_allows(postgres: str) -> None:
    with open_sessions(postgres, "lifecycle_machine") as sessions:

        @seed(SEED)
        class Machine(LifecycleMachine):
            def __init__(self) -> None:
                super().__init__(sessions)

        run_state_machine_as_test(Machine, settings=SETTINGS)
