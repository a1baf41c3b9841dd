"""The part of the sweep and the purge that is about webhooks."""

import logging
from dataclasses import asdict, dataclass
from functools import partial
from uuid import UUID

from app.db import webhook_claims
from app.db import webhook_sweep as db
from app.db.engine import Database
from app.domain.ports import Dispatcher
from app.domain.totals import Chore
from app.services.batches import in_batches, purge_in_batches
from app.services.chores import note
from app.settings import Settings

log = logging.getLogger(__name__)

BATCH = 500
"""Rows that one statement of the sweep moves, and endpoints that it looks at."""
UNUSED_AFTER = 86_400.0
"""Seconds, beyond the longest that a job may wait, for which an endpoint that jobs came with is kept."""


@dataclass(frozen=True, slots=True)
class WebhookSweepReport:
    """How many deliveries one sweep moved, and how many endpoints it sent a message for."""

    taken_back: int = 0
    given_up: int = 0
    hinted: int = 0


@dataclass(frozen=True, slots=True)
class WebhookMaintenance:
    """Moves the deliveries that nobody else moves any more."""

    database: Database
    dispatcher: Dispatcher
    settings: Settings

    def sweep(self) -> WebhookSweepReport:
        """Take back what ended with its worker, give up what is too old or goes to nobody, hint at what is due."""
        taken_back = in_batches(self._take_back, BATCH)
        too_old = in_batches(self._give_up_old, BATCH)
        disabled, hinted = self._look_at_waiting()
        report = WebhookSweepReport(taken_back, too_old + disabled, hinted)
        if taken_back or report.given_up:
            log.info("webhooks swept", extra={"fields": asdict(report)})
            note(self.database, {Chore.TAKEN_BACK: taken_back, Chore.GIVEN_UP: report.given_up})
        return report

    def purge(self) -> int:
        """Delete deliveries whose retention is over, and what is left of endpoints and secrets; return how many
        deliveries.
        """
        total = purge_in_batches(self.database, db.purge_deliveries, self.settings.purge_batch)
        unused_for = self.settings.queue_timeout + UNUSED_AFTER
        size = self.settings.purge_batch
        with self.database.autocommit() as connection:
            db.purge_endpoints(connection, limit=size, unused_for=unused_for)
        with self.database.autocommit() as connection:
            db.purge_secrets(connection)
        if total:
            log.info("webhook deliveries purged", extra={"fields": {"deleted": total}})
            note(self.database, {Chore.PURGED_DELIVERIES: total})
        return total

    def _take_back(self) -> int:
        with self.database.transaction() as connection:
            return webhook_claims.take_back(connection, limit=BATCH)

    def _give_up_old(self) -> int:
        with self.database.transaction() as connection:
            return db.give_up_old(connection, limit=BATCH, retention=self.settings.retention)

    def _look_at_waiting(self) -> tuple[int, int]:
        """How many deliveries to disabled endpoints were given up, and how many endpoints are to be tried."""
        given_up = hinted = 0
        after: UUID | None = None
        while True:
            with self.database.autocommit() as connection:
                page = db.waiting(connection, after=after, limit=BATCH)
            for endpoint in page:
                if endpoint.disabled:
                    given_up += in_batches(partial(self._give_up_disabled, endpoint.endpoint_id), BATCH)
                hinted += endpoint.due and self.dispatcher.deliver(endpoint.endpoint_id)
            if len(page) < BATCH:
                return given_up, hinted
            after = page[-1].endpoint_id

    def _give_up_disabled(self, endpoint_id: UUID) -> int:
        with self.database.transaction() as connection:
            return db.give_up_disabled(connection, endpoint_id, limit=BATCH, retention=self.settings.retention)
