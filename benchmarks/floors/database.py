"""The floors' way to the database: the least of a pool of connections, and the table of the bare Flask app."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import psycopg

TABLE = """
CREATE TABLE floor_jobs (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    status text NOT NULL DEFAULT 'queued',
    request json NOT NULL,
    result json,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
SIZE = 10
"""As many connections as a process of Simmer has by default."""


class Connections:
    """Opens each connection when it is first needed. Every statement is committed by itself, in one round trip."""

    def __init__(self, url: str) -> None:
        """Connect to the database at `url`."""
        self._url = url
        self._free: SimpleQueue[psycopg.Connection | None] = SimpleQueue()
        for _ in range(SIZE):
            self._free.put(None)

    @contextmanager
    def one(self) -> Iterator[psycopg.Connection]:
        """A connection that nobody else uses meanwhile."""
        connection = self._free.get() or psycopg.connect(self._url, autocommit=True)
        try:
            yield connection
        finally:
            self._free.put(connection)
