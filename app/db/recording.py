"""The webhook events of jobs, written by the very statement that ends them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Interval,
    Select,
    Table,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
)
from sqlalchemy.sql.dml import Update

from app.db.models import TABLE
from app.db.webhook_models import WebhookDelivery, WebhookEndpoint
from app.domain.ids import JOB
from app.domain.tracing import carrier
from app.domain.webhooks import EventType

GIVE_UP_AFTER = timedelta(days=2)
"""How long a delivery may wait, whether it had its tries or stands behind an endpoint that answers nobody. All tries
take 18 hours."""

ENDPOINTS = cast("Table", WebhookEndpoint.__table__)
DELIVERIES = cast("Table", WebhookDelivery.__table__)

# Looked at when the statement runs: those that end single jobs are built once.
_TRACE = bindparam("trace", type_=Text(), callable_=lambda: carrier().get("traceparent"))

_READ = ("id", "api_key_id", "status", "incomplete_reason", "webhook_endpoint_id", "webhook_url", "webhook_events")


def recording(ending: Update, returning: Sequence[ColumnElement[Any]]) -> Select[Any]:
    """`ending`, an UPDATE of jobs, which also records an event for each endpoint that wants it.

    Its rows have the columns of `returning`, and `endpoint_ids`.
    """
    names = dict.fromkeys([*_READ, *(column.name for column in returning)])
    ended = ending.returning(*(TABLE.c[name] for name in names)).cte("ended")
    endpoints = ENDPOINTS.c
    kind = case(
        (ended.c.incomplete_reason.is_not(None), EventType.INCOMPLETE.value), else_="response." + ended.c.status
    )
    wanted = or_(
        kind == any_(endpoints.events),
        and_(endpoints.id == ended.c.webhook_endpoint_id, kind == any_(ended.c.webhook_events)),
    )
    events = (
        select(
            endpoints.id,
            ended.c.id,
            kind,
            # As `app.domain.ids.public_id` has it.
            literal(f"{JOB}_") + func.replace(ended.c.id.cast(Text), "-", ""),
            case((endpoints.source == "job", ended.c.webhook_url)),
            func.now(),
            func.now() + literal(GIVE_UP_AFTER, Interval),
            _TRACE,
        )
        .join_from(ended, ENDPOINTS, endpoints.api_key_id == ended.c.api_key_id)
        .where(endpoints.disabled_at.is_(None), wanted)
        # FOR KEY SHARE: who is just deleting an endpoint is waited for, and must not have the end of a job refused.
        .with_for_update(read=True, key_share=True, of=ENDPOINTS)
    )
    columns = ["endpoint_id", "event_id", "type", "data_id", "url", "next_attempt_at", "give_up_at", "traceparent"]
    recorded = (
        insert(DELIVERIES)
        .from_select(columns, events)
        .returning(DELIVERIES.c.endpoint_id, DELIVERIES.c.event_id)
        .cte("recorded")
    )
    told = select(func.array_agg(recorded.c.endpoint_id)).where(recorded.c.event_id == ended.c.id).scalar_subquery()
    endpoint_ids = func.coalesce(told, literal([], ARRAY(Uuid()))).label("endpoint_ids")
    return select(*(ended.c[column.name] for column in returning), endpoint_ids)
