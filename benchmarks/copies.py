"""Fills the table of jobs with copies of one job that Simmer itself has made, a million in half a minute."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import psycopg
from psycopg import sql
from sqlalchemy import Table

from app.db.models import Job

BATCH = 50_000
"""Rows of one transaction."""

TABLE = "jobs"

_COLUMNS = [column.name for column in cast("Table", Job.__table__).columns]
# Ids lie back as well, so that whatever comes now is newer. One in ten came with an idempotency key.
_OWN = {
    "id": "uuidv7(age)",
    "api_key_id": "owners[1 + mod(n, cardinality(owners))]",
    "created_at": "at",
    "idempotency_key": "CASE WHEN mod(n, 10) = 0 THEN gen_random_uuid()::text END",
    "request_digest": "CASE WHEN mod(n, 10) = 0 THEN sha256('same') END",
}
_COPY = """
    INSERT INTO jobs ({columns})
    SELECT {values}
    FROM (SELECT * FROM jobs WHERE id = %(original)s) AS original,
        (SELECT %(owners)s::uuid[] AS owners) AS given,
        generate_series(%(first)s::bigint, %(last)s::bigint) AS n,
        LATERAL (SELECT (n - %(count)s) * interval '1 ms' - interval '1 hour' AS age) AS aged,
        LATERAL (SELECT %(now)s + age AS at) AS timed
"""


@dataclass(frozen=True)
class Copies:
    """The table of jobs, through a connection that commits by itself."""

    connection: psycopg.Connection

    def add(self, count: int, **columns: str) -> None:
        """Insert copies of the only job there is, or else of the oldest; spread over all API keys.

        `columns` are SQL expressions that may speak of `n`, which counts up to `count` from the oldest, and of `at`,
        its time: one millisecond after the other, an hour ago at the latest.
        """
        found = self.connection.execute("SELECT id, now() FROM jobs ORDER BY id LIMIT 1").fetchone()
        assert found, "there is no job yet to copy"
        owners = [row[0] for row in self.connection.execute("SELECT id FROM api_keys ORDER BY id")]
        given = {"original": found[0], "owners": owners, "count": count, "now": found[1]}
        statement = _statement({**_OWN, **columns})
        for first in range(1, count + 1, BATCH):
            last = min(first + BATCH - 1, count)
            self.connection.execute(statement, {**given, "first": first, "last": last})

    def vacuum(self) -> None:
        """What autovacuum does in its own time."""
        self.connection.execute("VACUUM ANALYZE jobs")

    def bytes(self) -> dict[str, int]:
        """Of the table, payloads included, and of each of its indexes."""
        rows = self.connection.execute(
            "SELECT 'jobs', pg_table_size('jobs') UNION ALL "
            "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index "
            "WHERE indrelid = 'jobs'::regclass"
        )
        return {name: int(size) for name, size in rows}


def _statement(columns: Mapping[str, str]) -> sql.Composed:
    values = [sql.SQL(columns.get(name) or f"original.{name}") for name in _COLUMNS]
    names = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
    return sql.SQL(_COPY).format(columns=names, values=sql.SQL(", ").join(values))
