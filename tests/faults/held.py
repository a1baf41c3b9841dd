"""Transactions of a deployment that a test catches in Postgres at a certain statement, or in their commit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import psycopg

from tests.processes import wait_until

_LOCK = 20_260_101
"""Of the test's advisory lock."""
# The caller's own limit on waits for locks is not what is tested.
_FUNCTION = """
    CREATE OR REPLACE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = '60s'
    AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint); RETURN NEW; END $$
"""


class At(Enum):
    """Where a transaction on the table of jobs is caught, and by which kind of trigger."""

    INSERT = "TRIGGER held BEFORE INSERT ON jobs"
    INSERTS_COMMIT = "CONSTRAINT TRIGGER held AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED"
    UPDATE = "TRIGGER held BEFORE UPDATE ON jobs"
    UPDATES_COMMIT = "CONSTRAINT TRIGGER held AFTER UPDATE ON jobs DEFERRABLE INITIALLY DEFERRED"


@dataclass(frozen=True, slots=True)
class Held:
    """The transaction that waits."""

    _connection: psycopg.Connection

    def wait(self, timeout: float = 20) -> int:
        """Wait until one is caught; return the pid of its backend."""

        def caught() -> int:
            row = self._connection.execute(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", (_LOCK,)
            ).fetchone()
            return row[0] if row else 0

        return wait_until(caught, timeout, "a transaction is caught")

    def release(self) -> None:
        """Let it go on, and all that come after it."""
        self._connection.execute("SELECT pg_advisory_unlock_all()")

    def terminate(self, pid: int) -> None:
        """End a backend as an administrator does, and wait until it is gone."""
        self._connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        wait_until(lambda: self.state(pid) is None, 20, f"backend {pid} gone")

    def state(self, pid: int) -> str | None:
        """What a backend does, such as `active` or `idle in transaction`; None if it is gone."""
        row = self._connection.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
        return row[0] if row else None


@contextmanager
def held(url: str, at: At, which: str) -> Iterator[Held]:
    """Transactions on rows for which `which` holds, an expression on NEW, wait while the block runs, or until they are
    released.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        connection.execute(_FUNCTION)
        connection.execute(
            f"CREATE {at.value} FOR EACH ROW WHEN ({which}) EXECUTE FUNCTION wait_for_the_test('{_LOCK}')"
        )
        caught = Held(connection)
        try:
            yield caught
        finally:
            caught.release()
            connection.execute("DROP TRIGGER held ON jobs")
