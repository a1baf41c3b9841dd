"""Two moves in two sessions at once, and every outcome that the model allows."""

import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, event, text

from app.db.engine import Database
from tests import rows
from tests.databases import migrated
from tests.integration.db.lifecycle_model import World
from tests.integration.db.lifecycle_moves import Move

DEADLINE = 30.0
_BLOCKED = text("SELECT cardinality(pg_blocking_pids(:pid)) > 0")


class Sessions(NamedTuple):
    """What a race runs on. What the observer writes is committed at once."""

    database: Database
    observer: Connection
    threads: Executor
    owners: tuple[UUID, UUID]


@contextmanager
def open_sessions(postgres: str, name: str) -> Iterator[Sessions]:
    """On a new database `name`: the sweeps act on all rows there are."""
    with migrated(postgres, name) as database, ThreadPoolExecutor(1) as threads:
        autocommit = database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with autocommit.connect() as observer:
            owners = rows.add_owner(observer), rows.add_owner(observer)
            yield Sessions(database, observer, threads, owners)


class Race(NamedTuple):
    """`second` begins when `first` has sent all its statements, or only one (`early`), and has yet to commit, or to
    roll back.
    """

    first: Move
    second: Move
    commit: bool
    early: bool

    def outcomes(self, world: World) -> Iterator[tuple[object, object, World]]:
        """The two answers and the table, for each order in which the two may count."""
        earlier = self.first.expect(world)
        between = earlier.on(world) if self.commit else world
        seen = {i: row for i, row in world.items() if i not in earlier.rows} if self.second.skips else between
        later = self.second.expect(seen)
        yield earlier.answer, later.answer, later.on(between)
        # The second looked before the first wrote.
        earlier = self.second.expect(world)
        between = earlier.on(world)
        later = self.first.expect(between)
        yield later.answer, earlier.answer, later.on(between) if self.commit else between

    def run(self, sessions: Sessions) -> tuple[object, object]:
        """Run it; return the answers. AssertionError if the second waits although it should skip."""
        rival = Rival(self.second, sessions)
        with sessions.database.transaction() as connection:
            if self.early:
                event.listen(connection, "after_cursor_execute", lambda *_: rival.begin())
            answer = self.first.write(connection)
            rival.begin()
            if not self.commit:
                connection.rollback()
        return answer, rival.answer()


class Rival:
    """The second session, in a thread of its own."""

    def __init__(self, move: Move, sessions: Sessions) -> None:
        self._move = move
        self._sessions = sessions
        self._ending: Future[object] | None = None

    def begin(self) -> None:
        """Start, if it has not; return when the move is done or waits for a lock."""
        if self._ending:
            return
        backend: Future[int] = Future()
        self._ending = self._sessions.threads.submit(self._run, backend)
        waits = self._waits(self._ending, backend.result(DEADLINE))
        assert not (waits and self._move.skips), f"{self._move} waits for a row that another session holds."

    def answer(self) -> object:
        assert self._ending
        return self._ending.result(DEADLINE)

    def _run(self, backend: "Future[int]") -> object:
        with self._sessions.database.transaction() as connection:
            assert connection.connection.driver_connection
            backend.set_result(connection.connection.driver_connection.info.backend_pid)
            return self._move.write(connection)

    def _waits(self, ending: "Future[object]", backend: int) -> bool:
        deadline = time.monotonic() + DEADLINE
        while not wait([ending], timeout=0.002).done:
            if self._sessions.observer.scalar(_BLOCKED, {"pid": backend}):
                return True
            assert time.monotonic() < deadline, f"{self._move} neither ends nor waits."
        return False
