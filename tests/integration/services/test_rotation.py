"""Rotation: every job comes under the current key, whatever its state, beside all that runs, and nothing else of it
changes.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest
from sqlalchemy import Connection, select, text

from app.db import endings, lookup, resealing, submission
from app.db import jobs as db
from app.db.engine import Database
from app.db.sealing import PAYLOADS, opened, sealed
from app.domain.events import pack, unpack
from app.domain.ids import new_id
from app.domain.jobs import Completed, Dispatch
from app.domain.requests import JobRequest, message
from app.services import encryption
from app.services.encryption import EncryptionService, KeyState, KeyUse
from tests import rows
from tests.encryption import CANARY, connected, sealer

REQUEST = JobRequest("gpt-4.1", (message("user", CANARY),), instructions=CANARY)
EVENTS = [b'{"delta":"x"}']
SECONDS = 2.0


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "PAUSE", 0.01)


@pytest.fixture
def owner(own_database: Database) -> UUID:
    with own_database.transaction() as connection:
        return rows.add_owner(connection)


@contextmanager
def service(url: str, *ids: str) -> Iterator[EncryptionService]:
    with connected(url, *ids) as database:
        yield EncryptionService(database, sealer(*ids))


def uses(url: str, *ids: str) -> dict[str | None, int]:
    with service(url, *ids) as made:
        return {use.key_id: use.jobs for use in made.status()}


def submit(database: Database, owner: UUID) -> UUID:
    sent = Dispatch(new_id(), "default", rows.LIMITS)
    with database.transaction() as connection:
        assert submission.add(connection, sent, owner, REQUEST, queue_timeout=600, redispatch_after=600)
    return sent.job_id


def finish(database: Database, job_id: UUID) -> None:
    """Claim and settle, each in a transaction of its own."""
    with database.transaction() as connection:
        held = db.claim(connection, job_id, worker="jobs@test", lease=600)
    assert held
    assert held.request == REQUEST
    outcome = Completed([message("assistant", f"{CANARY} {job_id}")], None)
    with database.transaction() as connection:
        assert endings.settle(connection, held, outcome, retention=600, events=pack(EVENTS))


def in_every_state(database: Database, owner: UUID) -> list[UUID]:
    """Jobs that are queued, running, cancelled and completed."""
    job_ids = [submit(database, owner) for _ in range(4)]
    with database.transaction() as connection:
        assert db.claim(connection, job_ids[1], worker="jobs@test", lease=600)
        assert endings.cancel(connection, db.owned(job_ids[2], owner), retention=600)
    finish(database, job_ids[3])
    return job_ids


def facts(database: Database) -> list[Any]:
    """All columns of all rows, but the payloads."""
    others = [column for column in db.jobs if column.name not in PAYLOADS]
    with database.transaction() as connection:
        return list(connection.execute(select(*others).order_by(db.jobs.id)))


def contents(database: Database, owner: UUID, job_ids: list[UUID]) -> list[Any]:
    """What a reader makes of the payloads."""
    with database.transaction() as connection:
        found = [lookup.get_request(connection, job_id, owner) for job_id in job_ids]
        logs = [unpack(lookup.get_events(connection, job_id)) for job_id in job_ids]
    return [(each[0].output, each[1], log) for each, log in zip(found, logs, strict=True) if each]


@pytest.mark.parametrize(
    ("before", "after"), [((), ("new",)), (("old",), ("new", "old")), (("old",), ("off", "old")), (("old",), ("old",))]
)
def test_every_job_comes_under_the_current_key(
    database_url: str, owner: UUID, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    with connected(database_url, *before) as database:
        job_ids = in_every_state(database, owner)
        told, untouched = contents(database, owner, job_ids), facts(database)
    with service(database_url, *after) as made:
        assert made.rotate() == (0 if before == after else len(job_ids))
        assert made.rotate() == 0
        states = {use.state: use.jobs for use in made.status()}
        assert states[KeyState.NO_KEY if after[0] == "off" else KeyState.CURRENT] == len(job_ids)
        assert sum(states.values()) == len(job_ids)
    # Whoever has the current key alone reads everything.
    with connected(database_url, *([] if after[0] == "off" else after[:1])) as database:
        assert contents(database, owner, job_ids) == told
        assert facts(database) == untouched


def test_the_status_tells_all_keys_that_are_needed(database_url: str, owner: UUID) -> None:
    for ids in ((), ("lost",), ("old",), ("old",), ("new",)):
        with connected(database_url, *ids) as database:
            job_id = submit(database, owner)
    # One job that takes two keys: its answer came from a process that had been restarted.
    with connected(database_url, "old", "new") as database:
        finish(database, job_id)
    with service(database_url, "new", "old", "unused") as made:
        assert made.status() == [
            KeyUse(None, KeyState.NO_KEY, 1),
            KeyUse("lost", KeyState.MISSING, 1),
            KeyUse("new", KeyState.CURRENT, 1),
            KeyUse("old", KeyState.OLD, 3),
            KeyUse("unused", KeyState.OLD, 0),
        ]
        assert made.rotate() == 4
        assert uses(database_url, "new") == {None: 0, "lost": 1, "new": 4}


@pytest.mark.parametrize("column", PAYLOADS)
def test_no_column_is_overlooked(database_url: str, owner: UUID, column: str) -> None:
    with connected(database_url, "new") as database:
        job_id = submit(database, owner)
        finish(database, job_id)
        with database.transaction() as connection:
            connection.execute(text("SELECT set_config('simmer.resealing', 'on', true)"))
            value = opened(sealer("new"), job_id, column, getattr(rows.row(connection, job_id), column))
            rows.change(connection, job_id, **sealed(sealer("old"), job_id, **{column: value}))
    with service(database_url, "new", "old") as made:
        assert uses(database_url, "new", "old") == {None: 0, "new": 1, "old": 1}
        assert made.rotate() == 1
        assert uses(database_url, "new", "old") == {None: 0, "new": 1, "old": 0}


def test_a_job_that_does_not_open_stays_and_does_not_stop_the_rest(database_url: str, owner: UUID) -> None:
    with connected(database_url, "old") as database:
        damaged, *others = [submit(database, owner) for _ in range(3)]
        with database.transaction() as connection:
            rows.change(connection, damaged, request=rows.row(connection, damaged).inputs)
            image = rows.image(connection, damaged)
    with service(database_url, "new", "old") as made:
        assert made.rotate() == len(others)
        with made.database.transaction() as connection:
            assert rows.image(connection, damaged) == image
    assert uses(database_url, "new", "old") == {None: 0, "new": 2, "old": 1}


def test_a_job_that_is_being_written_is_left_to_a_later_pass(
    database_url: str, own_database: Database, owner: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(database_url, "old") as database:
        busy, *_ = [submit(database, owner) for _ in range(3)]
    with service(database_url, "new", "old") as made:
        with own_database.transaction() as connection:
            connection.execute(select(db.jobs.id).where(db.jobs.id == busy).with_for_update())
            assert made.rotate() == 2
        assert made.rotate() == 1


def test_a_rotation_that_was_killed_goes_on_where_it_was(
    database_url: str, owner: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(database_url, "old") as database:
        job_ids = [submit(database, owner) for _ in range(7)]
    monkeypatch.setattr(encryption, "SCAN", 3)
    monkeypatch.setattr(encryption, "BATCH", 2)
    with service(database_url, "new", "old") as made:
        with monkeypatch.context() as patched:
            patched.setattr(resealing, "reseal", Mock(side_effect=_killed_in_the_third_batch()))
            with pytest.raises(KeyboardInterrupt):
                made.rotate()
        assert uses(database_url, "new", "old") == {None: 0, "new": 4, "old": 3}
        assert made.rotate() == 3
    assert uses(database_url, "new", "old") == {None: 0, "new": len(job_ids), "old": 0}


def _killed_in_the_third_batch() -> Callable[[Connection, Sequence[UUID]], int]:
    reseal, left = resealing.reseal, [2, 1]

    def killed(connection: Connection, job_ids: Sequence[UUID]) -> int:
        done = reseal(connection, job_ids)
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return done

    return killed


def test_nothing_is_lost_while_jobs_are_written_under_both_keys(database_url: str, owner: UUID) -> None:
    """As during a rolling restart: some processes still seal with the old key, while the command runs again and again.
    The lock on the rows guards it.
    """
    ended = threading.Event()
    with (
        connected(database_url, "old", "new") as behind,
        connected(database_url, "new", "old") as ahead,
        service(database_url, "new", "old") as made,
        ThreadPoolExecutor() as pool,
    ):
        writers = [pool.submit(_write, *sides, owner, ended) for sides in ((behind, ahead), (ahead, behind)) * 2]
        deadline = time.monotonic() + SECONDS
        rewritten = 0
        while time.monotonic() < deadline:
            rewritten += made.rotate()
        ended.set()
        job_ids = [job_id for writer in writers for job_id in writer.result(60)]
        made.rotate()
        told = contents(ahead, owner, job_ids)
    assert rewritten
    assert uses(database_url, "new") == {None: 0, "new": len(job_ids)}
    wanted = [([message("assistant", f"{CANARY} {job_id}")], REQUEST, EVENTS) for job_id in job_ids]
    assert told == wanted


def _write(first: Database, second: Database, owner: UUID, ended: threading.Event) -> list[UUID]:
    """Submit at one process and run at the other, all the time."""
    written = []
    while not ended.is_set():
        job_id = submit(first, owner)
        finish(second, job_id)
        written.append(job_id)
    return written
