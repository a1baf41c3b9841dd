"""The truth about the queues, for the exporter: what ended is added up for ever, what waits is counted now."""

import logging
import time
from collections import defaultdict
from dataclasses import dataclass

from app.db import gauges
from app.db import metrics as db
from app.db.engine import Database
from app.domain.errors import ModelNotFoundError
from app.domain.jobs import JOB_QUEUES
from app.domain.totals import EndedJob, Total, Truth
from app.upstreams.catalog import Catalog

log = logging.getLogger(__name__)

BATCH = 5_000
"""Ended jobs that one transaction counts."""
TIME_BUDGET = 20.0
"""Seconds after which the rest is left to the next time: what there is to show is shown meanwhile."""
OTHER = "other"
"""The model of jobs whose name is no longer in the models file."""


@dataclass(frozen=True, slots=True)
class MetricsService:
    """Any number of exporters may use it: each job is counted once, and all of them show the same."""

    database: Database
    catalog: Catalog

    def count(self) -> int:
        """Add the jobs that have ended since to the totals; return how many. Raises UnavailableError."""
        deadline = time.monotonic() + TIME_BUDGET
        number = 0
        while True:
            counted = self._count_batch()
            number += counted
            if counted < BATCH or time.monotonic() >= deadline:
                return number

    def look(self) -> Truth:
        """How things stand now. Raises UnavailableError."""
        with self.database.transaction() as connection:
            return Truth(
                queues=gauges.queue_states(connection, JOB_QUEUES),
                deliveries=gauges.delivery_state(connection),
                endpoints=gauges.endpoint_states(connection),
                totals=db.totals(connection),
                chores=db.chores(connection),
                rows=gauges.row_estimates(connection),
                database_bytes=gauges.database_bytes(connection),
            )

    def _count_batch(self) -> int:
        with self.database.transaction() as connection:
            after = db.lock_count(connection)
            if after is None:
                return 0
            ended = db.ended_between(connection, after, db.settled_until(connection), limit=BATCH)
            if ended:
                db.add_totals(connection, self._added(ended))
                db.counted(connection, len(ended), ended[-1].ended_at)
        return len(ended)

    def _added(self, ended: list[EndedJob]) -> dict[tuple[str, str], Total]:
        added: dict[tuple[str, str], Total] = defaultdict(Total)
        for job in ended:
            added[self._label(job.model), job.outcome].add(job)
        return added

    def _label(self, model: str) -> str:
        """The entry of the models file, which may be a pattern: the names that clients send are without end."""
        try:
            return self.catalog.entry(model)
        except ModelNotFoundError:
            return OTHER
