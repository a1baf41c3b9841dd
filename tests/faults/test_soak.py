"""One minute of random faults under load; `make soak` is for longer."""

from pathlib import Path

import pytest

from tests.faults.faults import FAULTS
from tests.faults.history import Create, Fault, Read
from tests.faults.soak import Plan, soak_deployment, verdict

SEED = 20_261_123
"""The same in each run, so that a failure can be repeated; `make soak` takes one at random."""


@pytest.mark.timeout(600)
def test_a_minute_of_faults_violates_nothing(tmp_path: Path) -> None:
    plan = Plan(duration=60, rate=8, every=8, hold=1, drain=120, seed=SEED, faults=list(FAULTS))
    history = soak_deployment(tmp_path, plan)
    assert verdict(history) == []
    # It was no idle minute.
    completed = {read.job_id for read in history.of(Read) if read.state == "completed"}
    assert len(completed) > 100
    assert len(history.of(Create)) >= 400
    assert len(history.of(Fault)) >= 3
