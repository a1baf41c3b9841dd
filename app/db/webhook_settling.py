"""How a try of a webhook ends: what becomes of the delivery, and what that says of its endpoint."""

from sqlalchemy import (
    Boolean,
    Connection,
    Float,
    Integer,
    LargeBinary,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from app.db.jobs import from_now
from app.db.recording import DELIVERIES, ENDPOINTS
from app.db.webhook_claims import CIRCUIT_FAILURES, HELD, OPEN, TO, endpoints, held_by
from app.db.webhook_deliveries import ATTEMPTS, deliveries
from app.domain.webhook_tries import Settled, Tried, TryLimits
from app.domain.webhooks import DeliveryClaim, DeliveryFailure, DeliveryStatus, DisabledReason

CIRCUIT_OPEN = 30.0
"""Seconds that it stays open after so many failures; twice as long with each further one."""
MAX_CIRCUIT_OPEN = 300.0

_SECOND = text("interval '1 second'")
_RECOVER = (
    update(ENDPOINTS)
    .where(
        endpoints.id == TO,
        or_(endpoints.consecutive_failures > 0, endpoints.open_until.is_not(None)),
        exists().where(HELD),
    )
    .values(consecutive_failures=0, failing_since=None, open_until=None)
)

# What fails while the circuit is open was sent before: it says nothing new.
_in_a_row = func.greatest(endpoints.consecutive_failures + case((OPEN, 0), else_=1), 1)
_opens_for = func.least(
    # The exponent is capped before the power is taken.
    CIRCUIT_OPEN * func.power(2, func.least(_in_a_row - CIRCUIT_FAILURES, 10)),
    MAX_CIRCUIT_OPEN,
    type_=Float,
)
_gone = bindparam("gone", type_=Boolean())
_failing = endpoints.failing_since <= func.now() - bindparam("disable_after", type_=Float()) * _SECOND
_disabled = and_(endpoints.source == "api", or_(_gone, func.coalesce(_failing, False)))
_SUFFER = (
    update(ENDPOINTS)
    .where(
        endpoints.id == TO,
        endpoints.disabled_at.is_(None),
        # One path of a server is gone, and the server well.
        or_(~_gone, endpoints.source == "api"),
        exists().where(HELD),
    )
    .values(
        consecutive_failures=_in_a_row,
        failing_since=func.coalesce(endpoints.failing_since, func.now()),
        open_until=case(
            (OPEN, endpoints.open_until),
            (_in_a_row >= CIRCUIT_FAILURES, from_now(_opens_for)),
            else_=endpoints.open_until,
        ),
        disabled_at=case((_disabled, func.now())),
        disabled_reason=case((_disabled, case((_gone, DisabledReason.GONE.value), else_=DisabledReason.FAILING.value))),
    )
    .returning(endpoints.disabled_reason)
)

_settled = (
    update(DELIVERIES)
    .where(HELD)
    .values(
        status=bindparam("new_status", type_=Text()),
        failures=deliveries.failures + bindparam("failed", type_=Integer()),
        lease_expires_at=None,
        # NULL seconds from now are NULL.
        next_attempt_at=from_now(bindparam("retry_in", type_=Float())),
        ended_at=case((bindparam("ended", type_=Boolean()), func.now())),
        expires_at=from_now(bindparam("kept", type_=Float())),
        failure=bindparam("new_failure", type_=Text()),
    )
    .returning(deliveries.endpoint_id, deliveries.event_id, deliveries.attempt)
    .cte("settled")
)
_took = bindparam("took", type_=Float())
_tries = insert(ATTEMPTS).from_select(
    ["endpoint_id", "event_id", "attempt", "started_at", "duration", "status_code", "error", "reply"],
    select(
        _settled,
        func.now() - _took * _SECOND,
        _took,
        bindparam("code", type_=Integer()),
        bindparam("why", type_=Text()),
        bindparam("said", type_=LargeBinary()),
    ),
)
_SETTLE = _tries.returning(ATTEMPTS.c.attempt)


def settle(
    connection: Connection, held: DeliveryClaim, tried: Tried, *, retry_in: float | None, limits: TryLimits
) -> Settled | None:
    """Record how a try ended, and what that says of its endpoint; None if the delivery is no longer this worker's.

    `retry_in` (seconds) is when to try again if it failed, None if that was the last try.
    """
    fence = held_by(held)
    if tried.delivered:
        connection.execute(_RECOVER, fence)
        settled = Settled(DeliveryStatus.DELIVERED)
    else:
        suffered = {**fence, "gone": tried.gone, "disable_after": limits.disable_after}
        settled = _failed(tried, retry_in, connection.execute(_SUFFER, suffered).scalar_one_or_none())
    ended = settled.status is not DeliveryStatus.PENDING
    values = {
        **fence,
        "new_status": settled.status.value,
        "failed": 0 if tried.delivered else 1,
        "retry_in": None if ended else retry_in,
        "ended": ended,
        "kept": limits.retention if ended else None,
        "new_failure": settled.failure,
        "took": tried.duration,
        "code": tried.status_code,
        "why": tried.error,
        "said": tried.reply,
    }
    return settled if connection.execute(_SETTLE, values).all() else None


def _failed(tried: Tried, retry_in: float | None, disabled: str | None) -> Settled:
    reason = DisabledReason(disabled) if disabled else None
    if tried.gone:
        return Settled(DeliveryStatus.FAILED, DeliveryFailure.ENDPOINT_GONE, reason)
    if retry_in is None:
        return Settled(DeliveryStatus.FAILED, DeliveryFailure.ATTEMPTS_EXHAUSTED, reason)
    return Settled(DeliveryStatus.PENDING, disabled=reason)
