"""A rolling restart of everything under load: no request fails, and no job is run twice."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import psutil
import pytest

from app.container import Container
from app.domain.jobs import JOB_QUEUES
from tests.acceptance.rollout import Load
from tests.cluster import Client, Cluster
from tests.processes import Process, wait_until
from tests.upstream.client import MockUpstream

GRACE = 6
"""gunicorn's graceful timeout in seconds."""
DRAIN = 20
LABEL = "rolling restart"
OLD_WORKERS = {"first", "second"}


def together(*steps: Callable[[], object]) -> None:
    with ThreadPoolExecutor(len(steps)) as pool:
        for step in [pool.submit(step) for step in steps]:
            step.result()


def start_api(cluster: Cluster, name: str, port: int | None = None) -> str:
    processes = 2 if name == "api-a" else 1
    return cluster.api(processes, name=name, port=port, GUNICORN_CMD_ARGS=f"--graceful-timeout {GRACE}")


def start_worker(cluster: Cluster, name: str, pool: str) -> Process:
    # Only the new ones take the jobs that are not to end before the restarts do.
    queue = ",".join({*JOB_QUEUES} - ({"flex"} if name in OLD_WORKERS else set()))
    concurrency = 4 if pool == "prefork" else 100
    return cluster.worker(name, queue=queue, pool=pool, concurrency=concurrency, SIMMER_DRAIN_TIMEOUT=str(DRAIN))


def restart_api(cluster: Cluster, name: str, url: str) -> None:
    process = cluster.started(name)
    process.kill(signal.SIGTERM)
    assert process.wait(GRACE * 3) == 0
    assert start_api(cluster, name, urlsplit(url).port) == url


def reload_api(cluster: Cluster, name: str) -> None:
    """As `systemctl reload` does: new processes behind the same listening socket."""
    master = psutil.Process(cluster.started(name).pid)
    before = {child.pid for child in master.children()}
    cluster.started(name).kill(signal.SIGHUP)

    def replaced() -> bool:
        now = {child.pid for child in master.children()}
        return len(now) == len(before) and now.isdisjoint(before)

    wait_until(replaced, GRACE * 3, f"new processes of {name}")


def stop_worker(cluster: Cluster, name: str) -> None:
    process = cluster.started(name)
    process.kill(signal.SIGTERM)
    assert process.wait(DRAIN * 2) == 0


def roll_apis(cluster: Cluster, urls: Mapping[str, str]) -> None:
    restart_api(cluster, "api-a", urls["api-a"])
    restart_api(cluster, "api-b", urls["api-b"])
    reload_api(cluster, "api-b")


def roll_workers(cluster: Cluster, load: Load, upstream: MockUpstream) -> None:
    start_worker(cluster, "third", "gevent")
    # With those that the load has made, a worker would often have finished before it is asked to hand anything back.
    load.add(10, "outlasts the stop [[sleep 4]]")
    wait_until(lambda: len(upstream.calls("outlasts the stop")) == 10, 30, "all of them run")
    stop_worker(cluster, "first")
    # There is another: the new one may also come after the old one has left.
    stop_worker(cluster, "second")
    start_worker(cluster, "fourth", "prefork")


@contextmanager
def sweeping(container: Container) -> Iterator[None]:
    """What beat and the system worker do, without the two processes."""
    over = threading.Event()

    def sweep() -> None:
        while not over.wait(1):
            container.maintenance.sweep()

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(300)
def test_a_rolling_restart_fails_no_request_and_runs_no_job_twice(
    cluster: Cluster, key: str, upstream: MockUpstream, container: Container
) -> None:
    urls: dict[str, str] = {}
    together(
        lambda: urls.update({"api-a": start_api(cluster, "api-a")}),
        lambda: urls.update({"api-b": start_api(cluster, "api-b")}),
        lambda: start_worker(cluster, "first", "gevent"),
        lambda: start_worker(cluster, "second", "prefork"),
    )
    with sweeping(container), Load(list(urls.values()), key, LABEL, long="[[gate rollout]]") as load:
        wait_until(lambda: len(load.done) == 8, 30, "every kind of request but those that take long")
        together(lambda: roll_apis(cluster, urls), lambda: roll_workers(cluster, load, upstream))
        enough = len(load.created) + 20
        wait_until(lambda: len(load.created) > enough, 30, "jobs of the new processes")
        upstream.open_gate("rollout")
        load.stop()
        client = Client(urls["api-a"], key)
        for job_id in load.created:
            client.wait(job_id, timeout=60)
    assert not load.failures, load.failures[:5]
    # What the restarts meant for clients: without these the test would prove nothing.
    assert all(load.met[what] for what in ("refused", "told to close", "waits answered early", "streams gone on with"))
    jobs = list(client.all())
    assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1)}
    # A request that was sent once more because its connection had closed was not served before.
    assert sorted(job["id"] for job in jobs) == sorted(load.created)
    assert len(upstream.calls(LABEL)) == len(load.created)
