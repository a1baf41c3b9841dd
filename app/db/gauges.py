"""What waits now, by the rows: jobs in their queues, webhook deliveries; and how large all is."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select, text

from app.db.vitals import queues
from app.domain.totals import DeliveryState, QueueState

_DELIVERIES = text("""
    SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
        count(*) FILTER (WHERE status = 'in_progress') AS in_progress,
        coalesce(extract(epoch FROM now() - min(created_at)), 0)::float AS oldest
    FROM webhook_deliveries WHERE status IN ('pending', 'in_progress')
""")
_LAG = text("""
    SELECT coalesce(extract(epoch FROM now() - min(d.due)), 0)::float
    FROM webhook_endpoints e CROSS JOIN LATERAL (
        SELECT next_attempt_at AS due FROM webhook_deliveries
        WHERE endpoint_id = e.id AND status = 'pending' AND next_attempt_at <= now()
        ORDER BY next_attempt_at LIMIT 1
    ) d
    WHERE e.disabled_at IS NULL AND (e.open_until IS NULL OR e.open_until <= now())
""")
_ENDPOINTS = text("""
    SELECT CASE WHEN disabled_at IS NOT NULL THEN 'disabled' WHEN consecutive_failures > 0 THEN 'failing' ELSE 'ok' END,
        count(*)
    FROM webhook_endpoints GROUP BY 1
""")
_ROWS = text("""
    SELECT relname, greatest(reltuples, 0)::float FROM pg_class
    WHERE oid IN ('jobs'::regclass, 'webhook_deliveries'::regclass)
""")


def queue_states(connection: Connection, names: Sequence[str]) -> list[QueueState]:
    """How full each of these queues is."""
    found = queues(connection, tuple(names))
    return [QueueState(one.queue, one.queued, one.running, one.oldest_queued or 0.0) for one in found]


def delivery_state(connection: Connection) -> DeliveryState:
    """The webhook deliveries that have not ended."""
    pending, in_progress, oldest = connection.execute(_DELIVERIES).one()
    lag: float = connection.execute(_LAG).scalar_one()
    return DeliveryState(pending, in_progress, max(oldest, 0.0), max(lag, 0.0))


def endpoint_states(connection: Connection) -> dict[str, int]:
    """Webhook endpoints by state."""
    found = {row[0]: row[1] for row in connection.execute(_ENDPOINTS)}
    return {"ok": 0, "failing": 0, "disabled": 0} | found


def row_estimates(connection: Connection) -> dict[str, float]:
    """About how many rows the large tables have, as of their last vacuum."""
    return {row[0]: row[1] for row in connection.execute(_ROWS)}


def database_bytes(connection: Connection) -> int:
    """What the database takes on the disk."""
    size: int = connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one()
    return size
