"""The truth about the queues, for the exporter: what ended is added up for ever, what waits is counted now."""

import logging
from collections import defaultdict
from dataclasses import dataclass

from app.db import delivery_totals as deliveries
from app.db import gauges
from app.db import metrics as db
from app.db.engine import Database
from app.domain.errors import ModelNotFoundError
from app.domain.jobs import JOB_QUEUES
from app.domain.totals import Chore, EndedJob, Total, Truth
from app.services.batches import in_batches
from app.upstreams.catalog import Catalog

log = logging.getLogger(__name__)

BATCH = 5_000
"""Ended jobs, or deliveries, that one transaction counts."""
TIME_BUDGET = 20.0
"""Seconds, for jobs and for deliveries, after which the rest is left to the next time: what there is to show is shown
meanwhile."""
OTHER = "other"
"""The model of jobs whose name is no longer in the models file."""


@dataclass(frozen=True, slots=True)
class MetricsService:
    """Any number of exporters may use it: each end is counted once, and all of them show the same."""

    database: Database
    catalog: Catalog

    def count(self) -> int:
        """Add the jobs and the webhook deliveries that have ended since to the totals; return how many.

        Raises UnavailableError.
        """
        return sum(in_batches(step, BATCH, budget=TIME_BUDGET) for step in (self._count_jobs, self._count_deliveries))

    def look(self) -> Truth:
        """How things stand now. Raises UnavailableError."""
        with self.database.transaction() as connection:
            return Truth(
                queues=gauges.queue_states(connection, JOB_QUEUES),
                deliveries=gauges.delivery_state(connection),
                endpoints=gauges.endpoint_states(connection),
                totals=db.totals(connection),
                delivered=deliveries.totals(connection),
                chores=db.chores(connection),
                rows=gauges.row_estimates(connection),
                database_bytes=gauges.database_bytes(connection),
            )

    def _count_jobs(self) -> int:
        with self.database.transaction() as connection:
            after = db.lock_count(connection, Chore.COUNT)
            if after is None:
                return 0
            ended = db.ended_between(connection, after, db.settled_until(connection), limit=BATCH)
            if ended:
                db.add_totals(connection, self._added(ended))
                db.counted(connection, Chore.COUNT, len(ended), ended[-1].ended_at)
        return len(ended)

    def _count_deliveries(self) -> int:
        with self.database.transaction() as connection:
            after = db.lock_count(connection, Chore.COUNT_DELIVERIES)
            if after is None:
                return 0
            ended = deliveries.ended_between(connection, after, db.settled_until(connection), limit=BATCH)
            if ended.last_at:
                deliveries.add_totals(connection, ended.by_outcome)
                db.counted(connection, Chore.COUNT_DELIVERIES, ended.number, ended.last_at)
        return ended.number

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
