"""The database connection pool, and the two ways to use it, the only places that commit."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.errors import (
    Diagnostic,
    IdleInTransactionSessionTimeout,
    ReadOnlySqlTransaction,
    UndefinedColumn,
    UndefinedTable,
)
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DisconnectionError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from app.db.sealing import SEALER
from app.db.turns import Turns, TurnTimeoutError
from app.domain.encryption import NoSealer
from app.domain.errors import UnavailableError
from app.domain.ports import Sealer
from app.settings import Settings

_DRIVER = "postgresql+psycopg://"
_GOODBYE = "goodbye"
_DOWN = "The database is not available. Try again in a few seconds."


def sqlalchemy_url(database_url: str) -> str:
    """The same address with the driver that Simmer uses."""
    return _DRIVER + database_url.partition("://")[2]


class Database:
    """A pool of connections to the one database that holds the truth. Build one for each process, after a fork."""

    def __init__(self, settings: Settings, *, pool_timeout: float | None = None, sealer: Sealer | None = None) -> None:
        """Connect lazily. `pool_timeout` (seconds) is how long `transaction()` waits for a free connection; `sealer`
        encrypts what clients and models wrote.
        """
        settings.require("database_url")
        self._patience = pool_timeout or settings.database_pool_timeout
        self._turns = Turns(settings.database_pool)
        self.engine: Engine = create_engine(
            sqlalchemy_url(settings.database_url),
            pool_size=settings.database_pool,
            max_overflow=0,
            # Whoever has a turn finds a connection free.
            pool_timeout=self._patience,
            # An error must not carry the prompt that was being stored into a log.
            hide_parameters=True,
            # Every query on payloads has the connection at hand, and none can forget to be given the sealer.
            execution_options={SEALER: sealer or NoSealer()},
            connect_args=_connect_args(settings),
        )
        event.listen(self.engine, "handle_error", _leave_out_row)
        event.listen(self.engine, "connect", _listen)
        event.listen(self.engine, "checkout", _refuse_closed)
        self._autocommitting = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back if it raises.

        Raises UnavailableError if the database can't be reached, is not migrated, gives no connection in time, or
        ends the statement at one of its limits. After that error a commit may or may not have happened.
        """
        with self._connected(self.engine) as connection:
            yield connection
            connection.commit()

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Every statement of the block is a transaction of its own, and the block should have one: without BEGIN and
        COMMIT it takes one round trip instead of three. Raises as `transaction()` does.
        """
        with self._connected(self._autocommitting) as connection:
            yield connection

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        try:
            with self._turns.turn(self._patience), engine.connect() as connection:
                try:
                    yield connection
                except BaseException:
                    _discard_if_busy(connection)
                    raise
        except (OperationalError, PoolTimeoutError, TurnTimeoutError) as error:
            raise UnavailableError(_DOWN) from error
        except (InternalError, ProgrammingError) as error:
            if isinstance(error.orig, ReadOnlySqlTransaction | IdleInTransactionSessionTimeout):
                # A standby after a failover, and a process that was frozen in the middle of a transaction.
                raise UnavailableError(_DOWN) from error
            if isinstance(error.orig, UndefinedTable | UndefinedColumn):
                raise UnavailableError("The database schema is not up to date. Run `simmer migrate`.") from error
            raise

    def close(self) -> None:
        """Close the idle connections of the pool."""
        self.engine.dispose()


def _listen(connection: psycopg.Connection[Any], record: ConnectionPoolEntry) -> None:
    """Note the server's goodbye, which is all that it ever says unasked."""

    def note(said: Diagnostic) -> None:
        record.info[_GOODBYE] = record.info.get(_GOODBYE) or said.severity_nonlocalized in {"FATAL", "PANIC"}

    connection.add_notice_handler(note)


def _refuse_closed(connection: psycopg.Connection[Any], record: ConnectionPoolEntry, _: object) -> None:
    """Have the pool replace a connection that the server has closed, or is about to: the goodbye can be read already.

    The pool's own `pre_ping` costs a round trip each time. What neither finds in time is a network that swallows
    everything: that is up to `_connect_args`.
    """
    try:
        connection.pgconn.consume_input()
        # It is asked for what it does on the way: it hands what was read to `_listen`.
        connection.pgconn.is_busy()
    except psycopg.OperationalError as error:
        raise DisconnectionError from error
    if record.info.get(_GOODBYE):
        raise DisconnectionError


def _leave_out_row(context: ExceptionContext) -> None:
    """Cut an error down to the server's first line. The DETAIL below it quotes the row that was refused, prompt and
    all, and Celery has the error of a task in its log and in its events.
    """
    cause, raised = context.original_exception, context.sqlalchemy_exception
    if isinstance(cause, psycopg.Error) and raised and cause.diag.message_primary:
        cause.args = (cause.diag.message_primary,)
        raised.args = (f"({type(cause).__name__}) {cause}",)


def _discard_if_busy(connection: Connection) -> None:
    """Throw a connection away in which a time limit or an abort struck in the middle of a statement.

    The pool must never hand it out again: the next user would read this statement's reply.
    """
    if connection.closed or connection.invalidated:
        return
    driver_connection = connection.connection.driver_connection
    if driver_connection and driver_connection.info.transaction_status == TransactionStatus.ACTIVE:
        connection.invalidate()


def _connect_args(settings: Settings) -> dict[str, object]:
    options = {
        "statement_timeout": math.ceil(settings.statement_timeout * 1000),
        "lock_timeout": math.ceil(settings.lock_timeout * 1000),
        "idle_in_transaction_session_timeout": math.ceil(settings.statement_timeout * 1000),
        # The default, 4, is for spinning disks: it has a key's list read from everybody's jobs, newest first.
        "random_page_cost": 1.1,
        "timezone": "UTC",
    }
    return {
        "application_name": "simmer",
        "connect_timeout": 3,
        "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        # A cut network must not hold a process for ever: the kernel gives up on unanswered data after 10 s.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 10_000,
    }
