"""What accepted jobs survive: workers killed, the broker wiped, stopped and frozen."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from app.stack.valkey import EmbeddedValkey
from tests.cluster import Client, Cluster, environment
from tests.embedded import Server
from tests.processes import free_port
from tests.upstream.client import MockUpstream


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Server]:
    """A broker that the test may kill."""
    with Server(EmbeddedValkey(tmp_path / "broker", free_port()), tmp_path / "valkey.log") as server:
        yield server


@pytest.fixture
def exposed_cluster(tmp_path: Path, database_url: str, own_broker: Server, models_file: Path) -> Iterator[Cluster]:
    """A cluster on that broker."""
    folder = tmp_path / "exposed"
    folder.mkdir()
    with Cluster(folder, environment(database_url, own_broker.url, models_file)) as made:
        yield made


@pytest.fixture
def exposed_client(exposed_cluster: Cluster, key: str) -> Client:
    return Client(exposed_cluster.api(), key)


def test_a_job_whose_worker_was_killed_is_finished_by_another(
    client: Client, cluster: Cluster, upstream: MockUpstream
) -> None:
    cluster.system()
    worker = cluster.worker("first")
    job_id = client.submit("killed worker [[gate killed-worker]]")
    upstream.wait_for_call("killed worker", 20)
    worker.kill(signal.SIGKILL)
    cluster.worker("second")
    upstream.wait_for_call("killed worker", 30, attempt=2)
    upstream.open_gate("killed-worker")
    job = client.wait(job_id)
    assert (job["status"], job["attempts"]) == ("completed", 2)


def test_a_prefork_worker_that_is_killed_loses_no_job_either(
    client: Client, cluster: Cluster, upstream: MockUpstream
) -> None:
    cluster.system()
    worker = cluster.worker("first", pool="prefork", concurrency=2)
    job_id = client.submit("killed prefork [[gate killed-prefork]]")
    upstream.wait_for_call("killed prefork", 20)
    worker.kill(signal.SIGKILL)
    worker.stop()
    cluster.worker("second", pool="prefork", concurrency=2)
    upstream.wait_for_call("killed prefork", 30, attempt=2)
    upstream.open_gate("killed-prefork")
    job = client.wait(job_id)
    assert (job["status"], job["attempts"]) == ("completed", 2)


def test_queued_jobs_survive_a_wiped_broker(client: Client, cluster: Cluster, broker_url: str) -> None:
    job_ids = [client.submit(f"wiped {number}") for number in range(100)]
    redis.Redis.from_url(broker_url).flushdb()
    cluster.system()
    cluster.worker()
    statuses = {client.wait(job_id, timeout=60)["status"] for job_id in job_ids}
    assert statuses == {"completed"}


def test_creates_are_answered_while_the_broker_is_down_and_run_once_it_is_back(
    exposed_client: Client, exposed_cluster: Cluster, own_broker: Server
) -> None:
    exposed_cluster.worker()
    exposed_cluster.system()
    own_broker.kill()
    job_ids = [exposed_client.submit(f"no broker {number}") for number in range(3)]
    own_broker.start()
    for job_id in job_ids:
        # Workers come back by themselves: Celery's retries have pauses of several seconds.
        assert exposed_client.wait(job_id, timeout=60)["status"] == "completed"


def test_creates_are_answered_while_the_broker_is_frozen(exposed_client: Client, own_broker: Server) -> None:
    # A connection that works is held; the freeze turns it into a half-open one.
    exposed_client.submit("before the freeze")
    own_broker.process.freeze()
    started_at = time.monotonic()
    try:
        job_id = exposed_client.submit("broker frozen")
    finally:
        own_broker.process.resume()
    # Without its own short timeouts the publish hangs for 45 s and more, far beyond the client's patience.
    assert time.monotonic() - started_at < 10
    assert exposed_client.get(job_id)["status"] == "queued"


def test_a_worker_that_stops_finishes_or_hands_back_its_jobs(
    client: Client, cluster: Cluster, upstream: MockUpstream
) -> None:
    cluster.system()
    worker = cluster.worker("leaving")
    short = client.submit("drained in time [[gate drained-in-time]]")
    long = client.submit("handed back [[gate handed-back]]")
    upstream.wait_for_call("drained in time", 20)
    upstream.wait_for_call("handed back", 20)
    worker.kill(signal.SIGTERM)
    upstream.open_gate("drained-in-time")
    assert client.wait(short)["attempts"] == 1
    assert client.wait(long, "queued")["attempts"] == 1
    assert worker.wait(30) == 0
    upstream.open_gate("handed-back")
    cluster.worker("staying")
    job = client.wait(long)
    assert (job["status"], job["attempts"]) == ("completed", 2)


def test_a_worker_that_was_frozen_past_its_lease_can_write_nothing(
    client: Client, cluster: Cluster, upstream: MockUpstream
) -> None:
    cluster.system()
    zombie = cluster.worker("zombie")
    job_id = client.submit("frozen worker [[gate frozen-worker]]")
    upstream.wait_for_call("frozen worker", 20)
    zombie.freeze()
    cluster.worker("heir")
    upstream.wait_for_call("frozen worker", 30, attempt=2)
    upstream.open_gate("frozen-worker")
    finished = client.wait(job_id)
    assert (finished["status"], finished["attempts"]) == ("completed", 2)
    mark = zombie.log_size()
    zombie.resume()
    zombie.wait_log(job_id, 30, since=mark)
    assert client.get(job_id) == finished
