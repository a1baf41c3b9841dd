"""How the service is doing by its database: for the live view of the queues, for `simmer doctor`, and for the purge."""

from dataclasses import dataclass
from datetime import datetime

from app.db import vitals as db
from app.db.engine import Database
from app.db.revision import at_head
from app.db.vitals import Overdue, QueueFacts, ServerFacts
from app.domain.jobs import JOB_QUEUES
from app.settings import Settings

LATE_SWEEPS = 3
"""Sweeps, or purges, that may be missed before what they should have moved counts as overdue."""
SLACK = 30.0
"""Seconds on top: a sweep may take as long when there is much to do."""


@dataclass(frozen=True, slots=True)
class Load:
    """The queues, and how many jobs each worker holds."""

    queues: list[QueueFacts]
    running: dict[str, int]


@dataclass(frozen=True, slots=True)
class VitalsService:
    """Only reads."""

    database: Database
    settings: Settings

    def server(self) -> ServerFacts:
        """The server's clock and limits. Raises UnavailableError."""
        with self.database.autocommit() as connection:
            return db.server(connection)

    def migrated(self) -> bool:
        """Whether the schema is the one that this code wants, or a newer one."""
        with self.database.transaction() as connection:
            return at_head(connection)

    def load(self) -> Load:
        """What waits and what runs."""
        with self.database.transaction() as connection:
            return Load(db.queues(connection, JOB_QUEUES), db.running(connection))

    def overdue(self) -> list[Overdue]:
        """What several sweeps or purges should have moved, and did not."""
        sweep = LATE_SWEEPS * self.settings.sweep_interval + SLACK
        purge = LATE_SWEEPS * self.settings.purge_interval + SLACK
        with self.database.transaction() as connection:
            return db.overdue(connection, sweep=sweep, purge=purge)

    def expired(self) -> tuple[int, datetime | None]:
        """How many results a purge would delete now, and when the first of them expired."""
        with self.database.autocommit() as connection:
            return db.expired(connection)

    def keys_needed(self) -> frozenset[str]:
        """Ids of the encryption keys that the stored jobs need, by a sample; empty text for what is not encrypted."""
        with self.database.transaction() as connection:
            return db.keys_needed(connection)
