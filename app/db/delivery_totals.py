"""What webhook deliveries that ended add up to, for the exporter."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from app.db.metric_models import DeliveryTotal
from app.db.webhook_deliveries import deliveries


@dataclass(frozen=True, slots=True)
class EndedDeliveries:
    """How many ended with each outcome, and when the last of them did; None if there are none."""

    by_outcome: Mapping[str, int]
    last_at: datetime | None

    @property
    def number(self) -> int:
        """All together."""
        return sum(self.by_outcome.values())


def ended_between(connection: Connection, after: datetime, until: datetime, *, limit: int) -> EndedDeliveries:
    """The first that ended after `after` and before `until`; some more than `limit`, if they ended together."""
    batch = (
        select(func.coalesce(deliveries.failure, deliveries.status).label("outcome"), deliveries.ended_at)
        .where(deliveries.ended_at > after, deliveries.ended_at < until)
        .order_by(deliveries.ended_at)
        .fetch(limit, with_ties=True)
        .cte("batch")
    )
    summed = select(batch.c.outcome, func.count(), func.max(batch.c.ended_at)).group_by(batch.c.outcome)
    found = connection.execute(summed).all()
    return EndedDeliveries({row[0]: row[1] for row in found}, max((row[2] for row in found), default=None))


def add_totals(connection: Connection, added: Mapping[str, int]) -> None:
    """Add to what is kept."""
    for outcome, number in added.items():
        row = insert(DeliveryTotal).values(outcome=outcome, deliveries=number)
        more = {"deliveries": DeliveryTotal.deliveries + number}
        connection.execute(row.on_conflict_do_update(index_elements=["outcome"], set_=more))


def totals(connection: Connection) -> dict[str, int]:
    """All that was counted, by outcome."""
    return {row.outcome: row.deliveries for row in connection.execute(select(DeliveryTotal.__table__))}
