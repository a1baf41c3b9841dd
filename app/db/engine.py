"""The connections to the database, and the two ways to use them, the only places that commit."""

import json
import logging
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
from sqlalchemy.exc import InternalError, OperationalError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from app.db import greenlets
from app.db.sealing import SEALER
from app.db.turns import Turns, TurnTimeoutError
from app.domain.encryption import NoSealer
from app.domain.errors import UnavailableError
from app.domain.ports import Sealer
from app.settings import Settings

log = logging.getLogger(__name__)

_decode = json.JSONDecoder().decode
_DRIVER = "postgresql+psycopg://"
_GOODBYE = "goodbye"
_UNUSABLE = {TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN}
_DOWN = "The database is not available. Try again in a few seconds."


def sqlalchemy_url(database_url: str) -> str:
    """The same address with the driver that Simmer uses."""
    return _DRIVER + database_url.partition("://")[2]


class Database:
    """The connections to the one database that holds the truth. Build one for each process, after a fork.

    They are SQLAlchemy's, but stay taken out of its pool: to take one out and put it back costs as much as a poll's
    whole statement.
    """

    def __init__(self, settings: Settings, *, pool_timeout: float | None = None, sealer: Sealer | None = None) -> None:
        """Connect lazily. `pool_timeout` (seconds) is how long anybody waits for a free connection; `sealer` encrypts
        what clients and models wrote.
        """
        settings.require("database_url")
        self._patience = pool_timeout or settings.database_pool_timeout
        self._turns = Turns(settings.database_pool)
        self._idle: list[Connection] = []
        self.engine: Engine = create_engine(
            sqlalchemy_url(settings.database_url),
            poolclass=NullPool,
            # An error must not carry the prompt that was being stored into a log.
            hide_parameters=True,
            # Every query on payloads has the connection at hand, and none can forget to be given the sealer.
            execution_options={SEALER: sealer or NoSealer()},
            connect_args=_connect_args(settings),
            json_deserializer=_from_json,
        )
        event.listen(self.engine, "handle_error", _cut)
        event.listen(self.engine, "connect", _listen)
        greenlets.listen(self.engine)

    @property
    def in_use(self) -> int:
        """How many connections somebody has at this moment."""
        return self._turns.taken

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back if it raises.

        Raises UnavailableError if the database can't be reached, is not migrated, gives no connection in time, or
        ends the statement at one of its limits. After that error a commit may or may not have happened.
        """
        with self.autocommit() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection
            connection.commit()

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Every statement of the block is a transaction of its own, and the block should have one: without BEGIN and
        COMMIT it takes one round trip instead of three. Raises as `transaction()` does.
        """
        try:
            with self._turns.turn(self._patience):
                connection = self._take()
                try:
                    yield connection
                except BaseException:
                    self._reset(connection)
                    raise
                self._idle.append(connection)
        except (OperationalError, TurnTimeoutError) as error:
            raise UnavailableError(_DOWN) from error
        except (InternalError, ProgrammingError) as error:
            if isinstance(error.orig, ReadOnlySqlTransaction | IdleInTransactionSessionTimeout):
                # A standby after a failover, and a process that was frozen in the middle of a transaction.
                raise UnavailableError(_DOWN) from error
            if isinstance(error.orig, UndefinedTable | UndefinedColumn):
                raise UnavailableError("The database schema is not up to date. Run `simmer migrate`.") from error
            raise

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection:
        """The connection that was used last, if the server has not closed it since, or a new one."""
        while True:
            try:
                # Asked first, the list could be empty by now: threads share it.
                connection = self._idle.pop()
            except IndexError:
                return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if _open(connection):
                return connection
            connection.close()

    def _reset(self, connection: Connection) -> None:
        """Keep a connection whose block has raised, unless it is broken, or an abort struck in a statement: the next
        user would read that statement's reply.
        """
        usable = False
        try:
            driver_connection = None if connection.invalidated else connection.connection.driver_connection
            if driver_connection and driver_connection.info.transaction_status not in _UNUSABLE:
                connection.rollback()
                usable = True
        except OperationalError:
            # The error that is on its way says more.
            log.debug("a connection broke while it was reset")
        finally:
            if usable:
                self._idle.append(connection)
            else:
                connection.invalidate()
                connection.close()


def _from_json(column: bytes) -> Any:
    # `json.loads` would find out each time which encoding it is, which takes as long as to read a small object.
    return _decode(column.decode())


def _open(connection: Connection) -> bool:
    """Whether the server has not closed the connection, nor is about to: its goodbye can be read already.

    A ping would cost a round trip each time. What neither finds in time is a network that swallows everything: that
    is up to `_connect_args`.
    """
    driver_connection: Any = connection.connection.driver_connection
    try:
        driver_connection.pgconn.consume_input()
        # It is asked for what it does on the way: it hands what was read to `_listen`.
        driver_connection.pgconn.is_busy()
    except psycopg.OperationalError:
        return False
    return not connection.info.get(_GOODBYE)


def _listen(connection: psycopg.Connection[Any], record: ConnectionPoolEntry) -> None:
    """Note the server's goodbye, which is all that it ever says unasked."""

    def note(said: Diagnostic) -> None:
        record.info[_GOODBYE] = record.info.get(_GOODBYE) or said.severity_nonlocalized in {"FATAL", "PANIC"}

    connection.add_notice_handler(note)


def leave_out_row(error: psycopg.Error) -> None:
    """Cut an error down to the server's first line. The DETAIL below it quotes the row that was refused, prompt and
    all, and Celery has the error of a task in its log and in its events.
    """
    if error.diag.message_primary:
        error.args = (error.diag.message_primary,)


def _cut(context: ExceptionContext) -> None:
    cause, raised = context.original_exception, context.sqlalchemy_exception
    if isinstance(cause, psycopg.Error) and raised and cause.diag.message_primary:
        leave_out_row(cause)
        raised.args = (f"({type(cause).__name__}) {cause}",)


def _connect_args(settings: Settings) -> dict[str, object]:
    options = {
        "statement_timeout": math.ceil(settings.statement_timeout * 1000),
        "lock_timeout": math.ceil(settings.lock_timeout * 1000),
        # A statement whose process is gone ends with it. A second is soon enough, and costs a system call.
        "client_connection_check_interval": 1000,
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
