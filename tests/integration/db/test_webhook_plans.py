"""Every query on 100,000 deliveries goes through the index that was made for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from app.db import delivery_totals, webhook_claims, webhook_deliveries, webhook_settling, webhook_sweep
from app.db.engine import Database
from app.db.webhook_deliveries import DeliveryFilter
from app.domain.webhook_tries import Tried, TryLimits
from app.domain.webhooks import DeliveryClaim, DeliveryStatus, EventType
from tests import deliveries, rows
from tests.databases import migrated
from tests.plans import explain, statements

ENDPOINTS = 500
PER_ENDPOINT = 200
PKEY = "webhook_deliveries_pkey"
DUE = "webhook_deliveries_due_idx"
BUSY = "webhook_deliveries_in_progress_idx"
ENDED = "webhook_deliveries_ended_idx"
EXPIRES = "webhook_deliveries_expires_idx"
GIVE_UP = "webhook_deliveries_give_up_idx"
LIMITS = TryLimits(retention=60, disable_after=60)
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
OTHERS = {
    "webhook_endpoints_pkey",
    "webhook_endpoints_api_key_id_id_idx",
    "webhook_secrets_endpoint_id_idx",
    "webhook_attempts_pkey",
}
# They are few: some thousands.
FEW = {"webhook_endpoints", "webhook_secrets"}

# In a hundred of an endpoint: one is being sent, nineteen wait, the rest has ended, and a few of these expired.
_FILL = text("""
    INSERT INTO webhook_deliveries (endpoint_id, event_id, type, data_id, status, attempt, next_attempt_at, give_up_at,
        lease_expires_at, ended_at, expires_at, failure)
    SELECT id, uuidv7(n * interval '1 ms'), 'response.completed', 'resp_' || n, status, 1,
        CASE WHEN status = 'pending' THEN now() + (n - 10) * interval '1 s' END, now() + n * interval '1 minute',
        CASE WHEN status = 'in_progress' THEN now() + interval '1 minute' END,
        CASE WHEN ended THEN now() - interval '1 day' END,
        CASE WHEN ended THEN now() + (n - 22) * interval '1 minute' END,
        CASE WHEN status = 'failed' THEN 'too_old' END
    FROM webhook_endpoints, generate_series(0, :count - 1) AS n,
        LATERAL (SELECT CASE WHEN n % 100 = 0 THEN 'in_progress' WHEN n % 100 < 20 THEN 'pending'
            WHEN n % 10 = 0 THEN 'failed' ELSE 'delivered' END AS status) AS s,
        LATERAL (SELECT status IN ('delivered', 'failed') AS ended) AS e
""")


_TRIES = text("""
    INSERT INTO webhook_attempts SELECT endpoint_id, event_id, 1, now(), 1, 200 FROM webhook_deliveries
    WHERE status = 'failed'
""")


@dataclass(frozen=True, slots=True)
class Rows:
    """What the queries are asked about."""

    endpoint_id: UUID
    event_id: UUID
    """It is being sent."""

    @property
    def claim(self) -> DeliveryClaim:
        created_at = datetime.now(UTC)
        to = (self.endpoint_id, self.event_id)
        return DeliveryClaim(*to, 1, 0, EventType.COMPLETED, "resp_0", created_at, deliveries.URL, ())


@pytest.fixture(scope="module")
def full(postgres: str) -> Iterator[Database]:
    """100,000 deliveries to 500 endpoints."""
    with migrated(postgres, "full_of_deliveries", statement_timeout=60) as database:
        with database.transaction() as connection:
            owner = rows.add_owner(connection)
            for number in range(ENDPOINTS):
                deliveries.add_endpoint(connection, owner, f"https://{number}.example.com/")
            connection.execute(_FILL, {"count": PER_ENDPOINT})
            connection.execute(_TRIES)
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # As autovacuum does in the background.
            connection.execute(text("VACUUM ANALYZE"))
        yield database


@pytest.fixture(scope="module")
def sample(full: Database) -> Rows:
    statement = text("SELECT endpoint_id, event_id FROM webhook_deliveries WHERE status = 'in_progress' LIMIT 1")
    with full.transaction() as connection:
        return Rows(*connection.execute(statement).one())


DEMANDED = {DUE, ENDED, EXPIRES, GIVE_UP}
"""Where they may be used, they are: nothing else finds these few among all."""

Query = Callable[[Connection, Rows], object]


def page(**wanted: object) -> Query:
    asked = DeliveryFilter(20, **wanted)  # type: ignore[arg-type]
    return lambda connection, sample: webhook_deliveries.page(connection, sample.endpoint_id, asked)


def settle(tried: Tried) -> Query:
    return lambda connection, sample: webhook_settling.settle(
        connection, sample.claim, tried, retry_in=5, limits=LIMITS
    )


# The query, and the indexes of deliveries that it may use.
QUERIES: dict[str, tuple[Query, set[str]]] = {
    "page": (page(), {PKEY}),
    "page of a status": (page(status=DeliveryStatus.FAILED), {PKEY}),
    "get": (
        lambda connection, sample: webhook_deliveries.get(connection, sample.endpoint_id, sample.event_id),
        {PKEY},
    ),
    "replay": (
        lambda connection, sample: webhook_deliveries.replay(connection, sample.endpoint_id, sample.event_id),
        {PKEY},
    ),
    "replay what failed": (
        lambda connection, sample: webhook_deliveries.replay_failed(
            connection, sample.endpoint_id, since=SINCE, limit=500
        ),
        {PKEY},
    ),
    "claim": (
        lambda connection, sample: webhook_claims.claim(connection, sample.endpoint_id, concurrency=8),
        {DUE, BUSY, PKEY},
    ),
    "settle": (settle(Tried(1, 200)), {PKEY, BUSY}),
    "settle a failure": (settle(Tried(1, 500)), {PKEY, BUSY}),
    "hand back": (lambda connection, sample: webhook_claims.hand_back(connection, sample.claim), {PKEY, BUSY}),
    "take back": (lambda connection, sample: webhook_claims.take_back(connection, limit=500), {PKEY, BUSY}),
    "what waits": (lambda connection, sample: webhook_sweep.waiting(connection, after=None, limit=500), {DUE}),
    "what waits after": (
        lambda connection, sample: webhook_sweep.waiting(connection, after=sample.endpoint_id, limit=500),
        {DUE},
    ),
    "give up the disabled": (
        lambda connection, sample: webhook_sweep.give_up_disabled(
            connection, sample.endpoint_id, limit=500, retention=60
        ),
        {DUE, PKEY},
    ),
    "give up the old": (
        lambda connection, sample: webhook_sweep.give_up_old(connection, limit=500, retention=60),
        {GIVE_UP, PKEY},
    ),
    "purge": (lambda connection, sample: webhook_sweep.purge_deliveries(connection, limit=500), {EXPIRES, PKEY}),
    "the purge's next batch": (
        lambda connection, sample: webhook_sweep.purge_deliveries(connection, limit=500, since=SINCE),
        {EXPIRES, PKEY},
    ),
    "what ended": (
        lambda connection, sample: delivery_totals.ended_between(connection, SINCE, datetime.now(UTC), limit=500),
        {ENDED},
    ),
    "purge endpoints": (
        lambda connection, sample: webhook_sweep.purge_endpoints(connection, limit=500, unused_for=60),
        {PKEY, BUSY, "webhook_endpoints_origin_idx"},
    ),
    "purge secrets": (lambda connection, sample: webhook_sweep.purge_secrets(connection), set()),
}


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("name", QUERIES)
def test_each_query_uses_its_index(full: Database, sample: Rows, name: str, generic: bool) -> None:
    query, indexes = QUERIES[name]
    with full.engine.connect() as connection:
        sent = statements(connection, lambda: query(connection, sample))
        connection.rollback()
        plans = [explain(connection, *statement, generic=generic) for statement in sent]
    assert indexes & DEMANDED <= {index for plan in plans for index in plan.indexes}
    for plan in plans:
        assert plan.read_whole <= FEW
        assert plan.indexes <= indexes | OTHERS
