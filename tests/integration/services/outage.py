"""A database that refuses every connection for a while, as in a failover."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import event

from app.db.engine import Database

FAILED_CONNECTIONS = 3


@contextmanager
def outage(postgres: str, database: Database, *, ends: bool) -> Iterator[Callable[[], None]]:
    """Yield a function that begins the outage; if it `ends`, then after some attempts to connect."""
    name = database.engine.url.database
    attempts: list[None] = []
    with psycopg.connect(postgres, autocommit=True) as admin:

        def allow(allowed: bool) -> None:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")

        def count(*_: Any) -> None:
            attempts.append(None)
            if ends and len(attempts) > FAILED_CONNECTIONS:
                allow(True)

        def begin() -> None:
            allow(False)
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            event.listen(database.engine, "do_connect", count)

        yield begin
        event.remove(database.engine, "do_connect", count)
        allow(True)
    assert len(attempts) > FAILED_CONNECTIONS
