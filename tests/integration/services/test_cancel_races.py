"""Cancels that race the completion of the job, ten thousand times: of the two one happens, and one alone is told."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from app.db import endings
from app.db import jobs as db
from app.db.engine import Database
from app.domain.jobs import Completed
from app.domain.lifecycle import Status
from tests import rows
from tests.databases import migrated

RACES = 10_000
LANES = 4
"""Races that are run at once, each by two threads on two connections."""
DEADLINE = 120.0
HEAD_START = 0.0005
"""Seconds by which one of the two is ahead at most: which of them is, chance decides."""
ANSWER = Completed([{"type": "message"}], None)

Write = Callable[[Connection, UUID], bool]


@pytest.fixture
def database(postgres: str) -> Iterator[Database]:
    """Of running jobs, one for each race."""
    with migrated(postgres, "cancel_races", database_pool=2 * LANES) as made:
        with made.transaction() as connection:
            owner = rows.add_owner(connection)
            rows.fill(connection, [owner], RACES, statuses=[Status.IN_PROGRESS], expired_every=1)
        yield made


def test_ten_thousand_cancels_race_the_completion(database: Database) -> None:
    """Row 23. Guarded by the statuses from which a move may start, which the statement that moves the job demands.

    Whoever is told that its move happened tells the readers, and nobody else does.
    """
    with database.transaction() as connection:
        job_ids = connection.scalars(text("SELECT id FROM jobs")).all()
    told = _race(database, job_ids)
    with database.transaction() as connection:
        found = connection.execute(text("SELECT id, status, output IS NULL, events IS NULL FROM jobs")).all()
    completed, cancelled = ("completed", False, False), ("cancelled", True, True)
    expected = {(True, False): completed, (False, True): cancelled}
    assert {job_id: tuple(end) for job_id, *end in found} == {
        job_id: expected.get(who, f"told {who}") for job_id, who in told.items()
    }
    winners = Counter(told.values())
    print(f"{RACES} races: {winners}")
    assert len(winners) == 2, "only one of the two ever won"


def _race(database: Database, job_ids: Sequence[UUID]) -> dict[UUID, tuple[bool, bool]]:
    """Settle and cancel every job at the same moment; what the two were told."""
    with ThreadPoolExecutor(2 * LANES) as threads:
        sides = []
        for number in range(LANES):
            lane, start = job_ids[number::LANES], Barrier(2)
            settled = threads.submit(_side, database, lane, start, _settle, Random(number))
            cancelled = threads.submit(_side, database, lane, start, _cancel, Random(-1 - number))
            sides.append((lane, settled, cancelled))
        answers = [
            zip(lane, zip(settled.result(DEADLINE), cancelled.result(DEADLINE), strict=True), strict=True)
            for lane, settled, cancelled in sides
        ]
    return {job_id: who for lane in answers for job_id, who in lane}


def _side(database: Database, lane: Sequence[UUID], start: Barrier, write: Write, chance: Random) -> list[bool]:
    told = []
    # Each write is one statement, which needs no BEGIN.
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for job_id in lane:
            start.wait(DEADLINE)
            time.sleep(chance.uniform(0, HEAD_START))
            try:
                told.append(write(connection, job_id))
            except Exception:
                # The other side would wait for this one.
                start.abort()
                raise
    return told


def _settle(connection: Connection, job_id: UUID) -> bool:
    return bool(endings.settle(connection, rows.claim_of(job_id), ANSWER, retention=60, events=b"the whole log"))


def _cancel(connection: Connection, job_id: UUID) -> bool:
    return endings.cancel(connection, db.jobs.id == job_id, retention=60) is not None
