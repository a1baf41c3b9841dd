"""What the exporter adds up and sees: each ended job once, whoever counts, however it is interrupted."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from app.db import metrics as db
from app.db.engine import Database
from app.domain.lifecycle import Status
from app.domain.totals import Chore, Total
from app.domain.webhooks import DeliveryStatus
from app.services import metrics as service
from app.services.maintenance import MaintenanceService
from app.services.metrics import MetricsService
from app.settings import Settings
from app.upstreams.catalog import Catalog
from tests import deliveries, rows
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.doorbell import LocalDoorbell
from tests.integration.services.event_log import MemoryEventLog

CATALOG = Catalog.model_validate(
    {
        "upstreams": {"mock": {"base_url": "http://127.0.0.1/v1"}},
        "models": {"gpt-*": {"upstream": "mock"}, "gpt-4.1": {"upstream": "mock"}},
    }
)
START = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def database(own_database: Database) -> Database:
    """A test's own: what is added up is added up for the whole database."""
    return own_database


@pytest.fixture
def metrics(database: Database) -> MetricsService:
    return MetricsService(database, CATALOG)


def end(database: Database, owner: UUID, status: Status = Status.COMPLETED, /, **columns: Any) -> None:
    """A job that ended an hour after START, if nothing else is said."""
    times = {"created_at": START, "started_at": START + timedelta(seconds=2), "ended_at": START + timedelta(seconds=9)}
    with database.transaction() as connection:
        rows.put(connection, owner, status, **times | columns)


def totals(metrics: MetricsService) -> dict[tuple[str, str], Total]:
    return dict(metrics.look().totals)


def test_an_ended_job_is_counted_with_all_that_it_took(
    metrics: MetricsService, database: Database, owner: UUID
) -> None:
    end(database, owner, usage={"input_tokens": 7, "output_tokens": 9}, attempt=3)
    end(database, owner, Status.FAILED, error_code="timeout", attempt=4)
    end(database, owner, Status.CANCELLED, started_at=None, attempt=0)
    assert metrics.count() == 3
    found = totals(metrics)
    assert set(found) == {("gpt-4.1", "completed"), ("gpt-4.1", "timeout"), ("gpt-4.1", "cancelled")}
    done = found["gpt-4.1", "completed"]
    assert (done.jobs, done.attempts, done.reruns, done.input_tokens, done.output_tokens) == (1, 3, 2, 7, 9)
    assert (done.pickup.seconds, done.run.seconds) == (2.0, 7.0)
    assert done.pickup.buckets[done.pickup.bounds.index(2.5)] == 1
    assert done.run.buckets[done.run.bounds.index(10.0)] == 1
    never = found["gpt-4.1", "cancelled"]
    assert (never.jobs, never.attempts, never.reruns) == (1, 0, 0)
    assert sum(never.pickup.buckets) == sum(never.run.buckets) == 0


def test_each_job_is_counted_once_and_what_expires_stays_counted(
    metrics: MetricsService, database: Database, owner: UUID
) -> None:
    end(database, owner)
    assert [metrics.count(), metrics.count()] == [1, 0]
    end(database, owner, ended_at=START + timedelta(hours=2))
    with database.transaction() as connection:
        connection.execute(text("DELETE FROM jobs WHERE ended_at < :then"), {"then": START + timedelta(hours=1)})
    restarted = MetricsService(database, CATALOG)
    assert restarted.count() == 1
    assert totals(restarted)["gpt-4.1", "completed"].jobs == 2
    assert sum(totals(restarted)["gpt-4.1", "completed"].run.buckets) == 2


def test_a_label_is_an_entry_of_the_models_file(metrics: MetricsService, database: Database, owner: UUID) -> None:
    for model in ("gpt-4.1", "gpt-anything", "gpt-else", "gone"):
        end(database, owner, model=model)
    metrics.count()
    assert {model: total.jobs for (model, _), total in totals(metrics).items()} == {
        "gpt-4.1": 1,
        "gpt-*": 2,
        "other": 1,
    }


def test_jobs_that_ended_at_one_moment_are_not_torn_apart(
    metrics: MetricsService, database: Database, owner: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    for _ in range(5):
        end(database, owner)
    end(database, owner, ended_at=START + timedelta(hours=2))
    assert metrics.count() == 6
    assert metrics.count() == 0


def test_two_exporters_count_a_job_once(metrics: MetricsService, database: Database, owner: UUID) -> None:
    # The row whose lock they take is there: two who insert it would wait for each other anyway.
    metrics.count()
    with database.transaction() as connection:
        rows.fill(connection, [owner], 4000, statuses=[Status.COMPLETED, Status.FAILED], expired_every=2)
    with ThreadPoolExecutor(4) as threads:
        counted = sum(threads.map(lambda _: metrics.count(), range(8)))
    assert counted == 4000
    assert sum(total.jobs for total in totals(metrics).values()) == 4000


def test_what_a_transaction_dated_before_it_commits_is_not_passed_over(
    metrics: MetricsService, database: Database, database_url: str, owner: UUID
) -> None:
    """A sweep may end a job in a transaction that began before others that end sooner."""
    with database.transaction() as connection:
        late, soon = (rows.put(connection, owner, Status.IN_PROGRESS) for _ in range(2))
    ending = """UPDATE jobs SET status = 'cancelled', lease_expires_at = NULL, run_deadline_at = NULL,
        ended_at = now(), expires_at = now() + interval '1 hour' WHERE id = %s"""
    with psycopg.connect(database_url) as slow:
        # For longer than what is left out in any case.
        slow.execute("SELECT pg_sleep(1.2)")
        with psycopg.connect(database_url) as quick:
            quick.execute(ending, [soon])
        with database.transaction() as connection:
            until = db.settled_until(connection)
            began = slow.execute("SELECT now()").fetchone()
        assert began
        assert until <= began[0]
        assert metrics.count() == 0
        slow.execute(ending, [late])
    with database.transaction() as connection:
        connection.execute(text("ALTER TABLE jobs DISABLE TRIGGER jobs_final"))
        # As if some seconds had passed.
        connection.execute(text("UPDATE jobs SET ended_at = ended_at - interval '10 seconds'"))
    assert metrics.count() == 2


def test_what_waits_is_what_stands_in_the_rows(metrics: MetricsService, database: Database, owner: UUID) -> None:
    with database.transaction() as connection:
        rows.put(connection, owner, queue="flex", created_at=rows.EARLIER)
        rows.put(connection, owner, Status.IN_PROGRESS, queue="flex")
        rows.add_endpoint(connection, owner, "https://hooks.example.com")
    seen = metrics.look()
    states = {state.queue: (state.queued, state.running) for state in seen.queues}
    assert states == {"sync": (0, 0), "priority": (0, 0), "default": (0, 0), "flex": (1, 1)}
    oldest = {state.queue: state.oldest for state in seen.queues}
    assert 3600 <= oldest["flex"] < 3700
    assert oldest["sync"] == 0
    assert seen.endpoints == {"ok": 1, "failing": 0, "disabled": 0}
    assert (seen.deliveries.pending, seen.deliveries.lag, seen.deliveries.oldest) == (0, 0, 0)
    assert seen.database_bytes > 1_000_000


def ago(seconds: float) -> Any:
    return text(f"now() - interval '{seconds} seconds'")


def test_the_lag_is_of_deliveries_that_only_workers_keep_waiting(
    metrics: MetricsService, database: Database, owner: UUID
) -> None:
    with database.transaction() as connection:
        healthy, held = (deliveries.add_endpoint(connection, owner) for _ in range(2))
        disabled = deliveries.add_endpoint(connection, owner, disabled_at=rows.NOW, disabled_reason="gone")
        deliveries.change_endpoint(
            connection, held, open_until=rows.LATER, consecutive_failures=5, failing_since=rows.EARLIER
        )
        deliveries.put(connection, healthy, next_attempt_at=ago(30), created_at=ago(50))
        deliveries.put(connection, healthy, next_attempt_at=rows.LATER, created_at=ago(500))
        deliveries.put(connection, healthy, DeliveryStatus.IN_PROGRESS)
        deliveries.put(connection, healthy, DeliveryStatus.DELIVERED, created_at=ago(900))
        for endpoint in (held, disabled):
            deliveries.put(connection, endpoint, next_attempt_at=ago(300), created_at=ago(300))
    seen = metrics.look()
    assert 30 <= seen.deliveries.lag < 60
    assert 500 <= seen.deliveries.oldest < 560
    assert (seen.deliveries.pending, seen.deliveries.in_progress) == (4, 1)
    assert seen.endpoints == {"ok": 1, "failing": 1, "disabled": 1}


def test_the_sweep_and_the_purge_leave_what_they_did(metrics: MetricsService, database: Database, owner: UUID) -> None:
    parts = RecordingDispatcher(), LocalDoorbell(), MemoryEventLog()
    maintenance = MaintenanceService(database, *parts, Settings())
    with database.transaction() as connection:
        for _ in range(2):
            rows.put(connection, owner, queue_expires_at=rows.EARLIER)
        rows.put(connection, owner, Status.IN_PROGRESS, lease_expires_at=rows.EARLIER)
        rows.put(connection, owner, Status.COMPLETED, expires_at=rows.EARLIER)
    for _ in range(2):
        maintenance.sweep()
        maintenance.purge()
    done = {name: total for name, (total, _) in metrics.look().chores.items()}
    assert done == {
        Chore.SWEEP: 2,
        Chore.EXPIRED: 2,
        Chore.RESCUED: 1,
        Chore.PURGE: 2,
        Chore.PURGED_JOBS: 1,
    }
    assert all(0 <= since < 60 for _, since in metrics.look().chores.values())
