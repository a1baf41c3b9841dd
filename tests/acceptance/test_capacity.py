"""How much one worker holds at once, how waiting work moves to an idle one, and how little the broker is flooded."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import redis
from sqlalchemy import text

from app.container import Container
from app.domain.lifecycle import Status
from app.services.maintenance import REDISPATCH_BATCH
from app.settings import Settings
from tests import rows
from tests.cluster import Client, Cluster
from tests.upstream.client import MockUpstream

JOBS = 1000


def test_one_worker_process_holds_a_thousand_waiting_jobs(
    client: Client, cluster: Cluster, upstream: MockUpstream
) -> None:
    worker = cluster.worker(concurrency=JOBS, SIMMER_LEASE="60", SIMMER_HEARTBEAT_INTERVAL="10")
    client.wait(client.submit("warm up"), "completed")
    before = worker.memory().pss
    job_ids = _submit_many(client, JOBS, "thousand [[gate thousand]]")
    upstream.wait_in_flight("[[gate thousand]]", JOBS, 90)
    per_job = (worker.memory().pss - before) / JOBS / 1024
    print(f"memory of one waiting job: {per_job:.0f} KiB")
    # A client of its own for each job costs about ten times as much.
    assert per_job < 300
    upstream.open_gate("thousand")
    for job_id in job_ids:
        job = client.wait(job_id, timeout=60)
        assert (job["status"], job["attempts"]) == ("completed", 1)


def test_an_idle_worker_takes_over_what_waits_behind_a_full_one(
    client: Client, cluster: Cluster, upstream: MockUpstream
) -> None:
    # No sweep runs: the messages themselves must still be where another worker can get them.
    cluster.worker("full", concurrency=20)
    _submit_many(client, 20, "fills the first [[gate full]]")
    upstream.wait_in_flight("fills the first", 20, 30)
    waiting = _submit_many(client, 60, "waits behind")
    cluster.worker("idle", concurrency=100)
    for job_id in waiting:
        assert client.wait(job_id, timeout=30)["status"] == "completed"
    upstream.open_gate("full")


def test_a_long_queue_without_a_worker_does_not_flood_the_broker(
    settings: Settings, api_key_id: UUID, broker_url: str
) -> None:
    container = Container(settings.model_copy(update={"redispatch_limit": 500}))
    with container.database.transaction() as connection:
        rows.fill(connection, [api_key_id], 100_000, statuses=[Status.QUEUED], expired_every=1)
        # As if every message had been lost a while ago.
        connection.execute(text("UPDATE jobs SET redispatch_at = now() - interval '1 minute'"))
    with ThreadPoolExecutor(4) as threads:
        # As many sweeps as in a minute, some of them at once.
        list(threads.map(lambda _: container.maintenance.sweep(), range(12)))
    messages = redis.Redis.from_url(broker_url).lrange("default", 0, -1)
    assert isinstance(messages, list)
    # A sweep that overlaps with another may overshoot by a batch.
    assert 500 <= len(messages) <= 500 + 3 * REDISPATCH_BATCH


def _submit_many(client: Client, number: int, words: str) -> list[str]:
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda index: client.submit(f"{words} {index}"), range(number)))
