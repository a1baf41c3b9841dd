"""Every query on webhook endpoints: those that owners make, and those that jobs come with."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Interval,
    Row,
    and_,
    delete,
    exists,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from app.db.models import ApiKey
from app.db.recording import DELIVERIES, ENDPOINTS
from app.db.webhook_models import WebhookSecret
from app.domain.ids import new_id
from app.domain.webhooks import DisabledReason, Endpoint, Source

endpoints = ENDPOINTS.c
_keys = ApiKey.__table__.c
_COLUMNS = (
    endpoints.id,
    endpoints.api_key_id,
    endpoints.source,
    endpoints.url,
    endpoints.events,
    endpoints.description,
    endpoints.created_at,
    endpoints.failing_since,
    endpoints.disabled_at,
    endpoints.disabled_reason,
)
_HEALTHY: dict[str, Any] = {"consecutive_failures": 0, "failing_since": None, "open_until": None}
_ENABLED: dict[str, Any] = {**_HEALTHY, "disabled_at": None, "disabled_reason": None}

USED_GRAIN = timedelta(hours=1)
"""Between two updates of one endpoint's `used_at`: it must not cost a write for each job."""


@dataclass(frozen=True, slots=True)
class EndpointFilter:
    """Which endpoints a page shows."""

    limit: int
    order: Literal["asc", "desc"] = "desc"
    after: UUID | None = None
    source: Source | None = None


def lock_owner(connection: Connection, api_key_id: UUID) -> bool:
    """Let nobody else change the key's endpoints and secrets before the transaction ends; False if it is not in use.

    FOR NO KEY UPDATE: new jobs, which refer to the key, don't wait for it.
    """
    found = select(_keys.id).where(_keys.id == api_key_id, _keys.revoked_at.is_(None))
    return connection.execute(found.with_for_update(key_share=True)).one_or_none() is not None


def count(connection: Connection, api_key_id: UUID, source: Source) -> int:
    """How many endpoints of this source the key has."""
    own = endpoints.api_key_id == api_key_id, endpoints.source == source
    return connection.execute(select(func.count()).where(*own)).scalar_one()


def add(connection: Connection, api_key_id: UUID, url: str, events: list[str], description: str | None) -> Endpoint:
    """Insert an endpoint that is told of all the key's jobs."""
    statement = insert(ENDPOINTS).values(
        id=new_id(), api_key_id=api_key_id, source="api", url=url, events=events, description=description
    )
    return _endpoint_of(connection.execute(statement.returning(*_COLUMNS)).one())


def get(connection: Connection, api_key_id: UUID, endpoint_id: UUID) -> Endpoint | None:
    """The key's endpoint; None for an unknown id and another key's."""
    row = connection.execute(select(*_COLUMNS).where(_owned(api_key_id, endpoint_id))).one_or_none()
    return _endpoint_of(row) if row else None


def owner_of(connection: Connection, endpoint_id: UUID) -> UUID | None:
    """Whose endpoint it is."""
    return connection.execute(select(endpoints.api_key_id).where(endpoints.id == endpoint_id)).scalar_one_or_none()


def page(connection: Connection, api_key_id: UUID, wanted: EndpointFilter) -> tuple[list[Endpoint], bool]:
    """Up to `limit` endpoints of the key, and whether there are more that way."""
    statement = select(*_COLUMNS).where(endpoints.api_key_id == api_key_id)
    descending = wanted.order == "desc"
    if wanted.source:
        statement = statement.where(endpoints.source == wanted.source)
    if wanted.after:
        statement = statement.where(endpoints.id < wanted.after if descending else endpoints.id > wanted.after)
    order = endpoints.id.desc() if descending else endpoints.id.asc()
    # One more than asked for tells that there are more.
    rows = connection.execute(statement.order_by(order).limit(wanted.limit + 1))
    found = [_endpoint_of(row) for row in rows]
    return found[: wanted.limit], len(found) > wanted.limit


def change(
    connection: Connection, api_key_id: UUID, endpoint_id: UUID, values: dict[str, Any], *, enabled: bool | None
) -> Endpoint:
    """Set `values` (`url`, `events`, `description`), and enable or disable the endpoint, which is there.

    One that is enabled, or that gets another address, starts without a record of failures.
    """
    changed = {**values, **(_HEALTHY if "url" in values else {}), **_switched(enabled)}
    statement = update(ENDPOINTS).where(_owned(api_key_id, endpoint_id)).values(changed)
    return _endpoint_of(connection.execute(statement.returning(*_COLUMNS)).one())


def _switched(enabled: bool | None) -> dict[str, Any]:
    if enabled is None:
        return {}
    if enabled:
        return _ENABLED
    # One that is disabled already stays so since when, and why, it was.
    return {
        "disabled_at": func.coalesce(endpoints.disabled_at, func.now()),
        "disabled_reason": func.coalesce(endpoints.disabled_reason, DisabledReason.OWNER.value),
    }


def disable_all(connection: Connection, api_key_id: UUID, reason: DisabledReason) -> None:
    """Disable every endpoint of the key."""
    own = endpoints.api_key_id == api_key_id, endpoints.disabled_at.is_(None)
    connection.execute(update(ENDPOINTS).where(*own).values(disabled_at=func.now(), disabled_reason=reason.value))


def forget_deliveries(connection: Connection, endpoint_id: UUID, *, limit: int) -> int:
    """Delete up to `limit` deliveries of the endpoint, whatever became of them; return how many."""
    batch = (
        select(DELIVERIES.c.event_id)
        .where(DELIVERIES.c.endpoint_id == endpoint_id)
        .order_by(DELIVERIES.c.event_id)
        .limit(limit)
        .with_for_update()
        .cte("batch")
    )
    statement = delete(DELIVERIES).where(
        DELIVERIES.c.endpoint_id == endpoint_id, DELIVERIES.c.event_id.in_(select(batch.c.event_id))
    )
    return connection.execute(statement).rowcount


def remove(connection: Connection, api_key_id: UUID, endpoint_id: UUID) -> bool:
    """Delete the endpoint with its secrets, and with the deliveries that are left; False if it is not there."""
    return connection.execute(delete(ENDPOINTS).where(_owned(api_key_id, endpoint_id))).rowcount == 1


# From here on: the endpoints of webhooks that come with single jobs.


def find_lane(connection: Connection, api_key_id: UUID, origin: str) -> UUID | None:
    """The key's endpoint for this origin; None if there is none, or if it is for `use_lane` to note that it is used.

    The purge takes one that was not used for a day at least.
    """
    signed = exists().where(WebhookSecret.api_key_id == api_key_id, WebhookSecret.endpoint_id.is_(None))
    fresh = endpoints.used_at > func.now() - literal(USED_GRAIN, Interval)
    statement = select(endpoints.id).where(_lane(api_key_id, origin), fresh, signed)
    return connection.execute(statement).scalar_one_or_none()


def has_lane(connection: Connection, api_key_id: UUID, origin: str) -> bool:
    """Whether there is one, however long ago it was used."""
    return connection.execute(select(endpoints.id).where(_lane(api_key_id, origin))).one_or_none() is not None


def use_lane(connection: Connection, api_key_id: UUID, origin: str) -> UUID:
    """The key's endpoint for this origin, made if there is none, and used at this moment."""
    new = insert(ENDPOINTS).values(id=new_id(), api_key_id=api_key_id, source="job", url=origin, events=[])
    statement = new.on_conflict_do_update(
        index_elements=[endpoints.api_key_id, endpoints.url],
        index_where=text("source = 'job'"),
        set_={"used_at": func.now()},
    )
    endpoint_id: UUID = connection.execute(statement.returning(endpoints.id)).scalar_one()
    return endpoint_id


def _lane(api_key_id: UUID, origin: str) -> ColumnElement[bool]:
    return and_(endpoints.api_key_id == api_key_id, endpoints.url == origin, endpoints.source == text("'job'"))


def _owned(api_key_id: UUID, endpoint_id: UUID) -> ColumnElement[bool]:
    return and_(endpoints.id == endpoint_id, endpoints.api_key_id == api_key_id)


def _endpoint_of(row: Row[*tuple[Any, ...]]) -> Endpoint:
    found = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    reason = found["disabled_reason"]
    return Endpoint(**{**found, "disabled_reason": DisabledReason(reason) if reason else None})
