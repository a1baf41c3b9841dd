"""`transaction()`: nothing half-done goes back to the pool, every wait has an end, and errors tell no secrets."""

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.db.engine import Database
from app.domain.errors import UnavailableError
from app.settings import Settings
from tests.databases import migrated
from tests.processes import free_port, wait_until

DEADLINE = 20.0
CANARY = "canary-7f3a"


class LimitStruckError(Exception):
    """Stands for a soft time limit, or an abort, that is thrown in from outside."""


@pytest.fixture(scope="module")
def single(postgres: str) -> Iterator[Database]:
    """One connection, and limits that a test can wait for."""
    limits = {"database_pool": 1, "database_pool_timeout": 0.2, "statement_timeout": 1, "lock_timeout": 0.3}
    with migrated(postgres, "single_connection", **limits) as made:
        yield made


def backend(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)


def backend_of(database: Database) -> int:
    with database.transaction() as connection:
        return backend(connection)


@pytest.fixture
def strike_when_busy(database: Database) -> Iterator[list[int]]:
    """Throws LimitStruckError into the main thread once the backend that is put into the list runs a statement."""
    busy = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid AND state = 'active' AND query ~ 'pg_sleep'")
    backends: list[int] = []

    def raise_it(_number: int, _frame: FrameType | None) -> None:
        raise LimitStruckError

    def watch() -> None:
        with database.transaction() as connection:
            wait_until(lambda: backends and connection.scalar(busy, {"pid": backends[0]}), DEADLINE, "it is busy")
        os.kill(os.getpid(), signal.SIGUSR2)

    before = signal.signal(signal.SIGUSR2, raise_it)
    watcher = threading.Thread(target=watch)
    watcher.start()
    yield backends
    watcher.join(DEADLINE)
    signal.signal(signal.SIGUSR2, before)


def test_a_connection_is_discarded_when_an_exception_strikes_in_the_middle_of_a_statement(
    single: Database, strike_when_busy: list[int]
) -> None:
    def work() -> None:
        with single.transaction() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            strike_when_busy.append(backend(connection))
            connection.execute(text("SELECT 'not yours' FROM pg_sleep(:seconds)"), {"seconds": DEADLINE})

    with pytest.raises(LimitStruckError):
        work()
    with single.transaction() as connection:
        assert connection.scalar(text("SELECT 'mine'")) == "mine"
        assert backend(connection) != strike_when_busy[0]


def test_a_connection_is_kept_when_the_exception_came_between_statements(single: Database) -> None:
    def work() -> None:
        with single.transaction() as connection:
            connection.execute(text("CREATE TABLE half_done ()"))
            raise LimitStruckError

    before = backend_of(single)
    with pytest.raises(LimitStruckError):
        work()
    with single.transaction() as connection:
        assert backend(connection) == before
        assert connection.scalar(text("SELECT to_regclass('half_done')")) is None


def test_an_exhausted_pool_makes_nobody_wait_for_long(single: Database) -> None:
    with single.transaction(), pytest.raises(UnavailableError), single.transaction():
        pytest.fail("there is no second connection")
    assert backend_of(single)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    down = Database(Settings(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none"))
    with pytest.raises(UnavailableError):
        backend_of(down)


def test_a_connection_that_breaks_in_a_transaction_is_replaced(single: Database, database: Database) -> None:
    def work() -> None:
        with single.transaction() as connection:
            _terminate(database, backend(connection))
            connection.execute(text("SELECT 1"))

    with pytest.raises(UnavailableError):
        work()
    assert backend_of(single)


def test_a_connection_that_broke_while_idle_goes_unnoticed(single: Database, database: Database) -> None:
    for _ in range(20):
        _terminate(database, backend_of(single))
    assert backend_of(single)


def _terminate(database: Database, pid: int) -> None:
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_a_statement_has_an_end(single: Database) -> None:
    with pytest.raises(UnavailableError) as ended, single.transaction() as connection:
        connection.execute(text("SELECT pg_sleep(60)"))
    assert isinstance(_cause(ended.value), psycopg.errors.QueryCanceled)


def test_a_wait_for_a_lock_has_an_end(single: Database) -> None:
    other = psycopg.connect(single.engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
    with other, other.cursor() as holder:
        holder.execute("LOCK TABLE jobs")
        with pytest.raises(UnavailableError) as ended, single.transaction() as connection:
            connection.execute(text("SELECT 1 FROM jobs"))
    assert isinstance(_cause(ended.value), psycopg.errors.LockNotAvailable)


def _cause(error: UnavailableError) -> BaseException | None:
    assert isinstance(error.__cause__, DBAPIError)
    return error.__cause__.orig


def test_a_schema_that_is_missing_is_unavailable_and_says_what_to_do(empty_database_url: str) -> None:
    empty = Database(Settings(database_url=empty_database_url))
    with pytest.raises(UnavailableError, match="simmer migrate"), empty.transaction() as connection:
        connection.execute(text("SELECT 1 FROM jobs"))
    empty.close()


def test_an_error_does_not_show_its_parameters(database: Database) -> None:
    with pytest.raises(DBAPIError) as failed, database.transaction() as connection:
        connection.execute(text("SELECT 1 / 0, CAST(:secret AS text)"), {"secret": CANARY})
    assert CANARY not in str(failed.value)
    assert CANARY not in repr(failed.value)
    assert "division by zero" in str(failed.value)


def test_times_are_utc_and_the_session_has_a_name(database: Database) -> None:
    with database.transaction() as connection:
        assert connection.scalar(text("SHOW timezone")) == "UTC"
        assert connection.scalar(text("SHOW application_name")) == "simmer"
