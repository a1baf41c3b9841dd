"""What a process of greenlets meets at its database; prints what went well."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402 - nothing may be imported before the patch

import gevent  # noqa: E402
from sqlalchemy import text  # noqa: E402

from app.db.engine import Database  # noqa: E402
from app.db.greenlets import GreenConnection  # noqa: E402
from app.domain.errors import UnavailableError  # noqa: E402
from app.settings import Settings  # noqa: E402

WAITERS = 8
MANY = "x" * 5_000_000
"""More than a socket takes at once."""


def main(url: str) -> None:
    database = Database(Settings(database_url=url, database_pool=WAITERS + 1))

    def meet(number: int) -> int:
        """Nobody passes before all are there."""
        with database.transaction() as connection:
            assert isinstance(connection.connection.driver_connection, GreenConnection)
            connection.execute(text("SELECT pg_advisory_xact_lock_shared(:n)"), {"n": number})
            met = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid < 1000"
            while connection.scalar(text(met)) != WAITERS:
                connection.execute(text("SELECT pg_sleep(0.02)"))
            barrier.append(number)
            while len(barrier) < WAITERS:
                gevent.sleep(0.01)
            return len(connection.scalar(text("SELECT :much"), {"much": MANY}) or "")

    barrier: list[int] = []
    with gevent.Timeout(40):
        waiters = [gevent.spawn(meet, number) for number in range(WAITERS)]
        gevent.joinall(waiters, raise_error=True)
    print(sum(waiter.value == len(MANY) for waiter in waiters), "together")
    try:
        with gevent.Timeout(0.2), database.autocommit() as connection:
            connection.execute(text("SELECT pg_sleep(30)"))
    except gevent.Timeout:
        print("limit")
    try:
        with database.autocommit() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    except UnavailableError:
        print("killed")
    with database.autocommit() as connection:
        if connection.scalar(text("SELECT 1")) == 1:
            print("again")


if __name__ == "__main__":
    main(sys.argv[1])
