"""Waiting instead of polling: five thousand clients on one server cost no more connections than a few."""

import asyncio
import json
import resource
import time
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis

from tests.cluster import Client, Cluster
from tests.processes import Process, wait_until
from tests.upstream.client import MockUpstream

WAITERS = 5000
JOBS = 500
DEADLINE = 100.0
ARRIVALS = 400
"""Clients that come in a second: the test is about those who wait, not about a stampede."""
TRY_AGAIN = "503"


@pytest.mark.timeout(300)
def test_five_thousand_clients_wait_on_a_few_connections(
    cluster: Cluster, key: str, upstream: MockUpstream, database_url: str, broker_url: str
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cluster.worker(concurrency=JOBS, SIMMER_LEASE="60", SIMMER_HEARTBEAT_INTERVAL="10")
    client = Client(cluster.api(), key)
    job_ids = [client.submit(f"crowd [[gate crowd]] {number}") for number in range(JOBS)]
    upstream.wait_in_flight("[[gate crowd]]", JOBS, 60)
    few = Crowd(client, job_ids[:50])
    before = connections(database_url, broker_url)
    crowd = Crowd(client, [*job_ids[50:], *job_ids * (WAITERS // JOBS - 1)])
    api = cluster.started("api")
    wait_until(lambda: clients_of(api, client) >= WAITERS, 90, "everybody waits")
    during = connections(database_url, broker_url)
    upstream.open_gate("crowd")
    for group in (few, crowd):
        assert group.statuses() == {"completed"}
    # The pools of API and worker may fill up to their sizes (10 each), and no further; a few are the test's own.
    assert during["postgres"] <= before["postgres"] + 2 * 10
    assert during["broker"] <= before["broker"] + 2 * 10


def test_a_wait_ends_with_the_job_or_with_its_time(shared: Client, upstream: MockUpstream) -> None:
    job_id = shared.submit("ends while waited for [[gate ends]]")
    reply = shared.request("GET", f"/v1/responses/{job_id}?wait=0.2")
    assert reply.json["status"] in {"queued", "in_progress"}
    assert reply.headers["Retry-After"]
    upstream.open_gate("ends")
    assert shared.request("GET", f"/v1/responses/{job_id}?wait=30").json["status"] == "completed"


def test_a_create_can_wait(shared: Client) -> None:
    body = {"model": "gpt-4.1", "input": "created and waited for", "background": True}
    reply = shared.request("POST", "/v1/responses?wait=30", body)
    assert reply.json["status"] == "completed"
    preferred = shared.request("POST", "/v1/responses", body, Prefer="respond-async, wait=30")
    assert preferred.json["status"] == "completed"
    assert preferred.headers["Preference-Applied"] == "wait=30"


def test_waiting_goes_on_without_the_broker(cluster: Cluster, key: str, upstream: MockUpstream) -> None:
    cluster.worker()
    client = Client(cluster.api(SIMMER_BROKER_URL="redis://127.0.0.1:1/0", SIMMER_WAIT_POLL="0.5"), key)
    cluster.system()
    started = time.monotonic()
    body = {"model": "gpt-4.1", "input": "no broker at the API", "background": True}
    assert client.request("POST", "/v1/responses?wait=25", body).json["status"] == "completed"
    # Nobody rang: the process asked the database, rather than let the client wait in vain.
    assert time.monotonic() - started < 20


def connections(database_url: str, broker_url: str) -> dict[str, int]:
    """How many connections Postgres and the broker have from everybody."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").fetchone()
    assert row
    return {"postgres": row[0], "broker": len(redis.Redis.from_url(broker_url).client_list())}


def clients_of(api: Process, client: Client) -> int:
    port = urlsplit(client.url).port
    processes = [psutil.Process(api.pid), *psutil.Process(api.pid).children(recursive=True)]
    established = {
        (c.raddr.port)
        for process in processes
        for c in process.net_connections("tcp")
        if c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port
    }
    return len(established)


class Crowd:
    """Clients that each wait for one job until it has ended, all in one thread of their own."""

    def __init__(self, client: Client, job_ids: list[str]) -> None:
        self._client, self._job_ids = client, job_ids
        self._loop = asyncio.new_event_loop()
        self._thread = self._loop.run_in_executor(None, self._run)

    def statuses(self) -> set[str]:
        """The statuses that they were told in the end."""
        return self._loop.run_until_complete(asyncio.wait_for(asyncio.shield(self._thread), DEADLINE))

    def _run(self) -> set[str]:
        return asyncio.run(self._wait_all())

    async def _wait_all(self) -> set[str]:
        return set(await asyncio.gather(*(self._wait(*numbered) for numbered in enumerate(self._job_ids))))

    async def _wait(self, number: int, job_id: str) -> str:
        await asyncio.sleep(number / ARRIVALS)
        while (status := await self._ask(job_id)) in {"queued", "in_progress", TRY_AGAIN}:
            pass
        return status

    async def _ask(self, job_id: str) -> str:
        url = urlsplit(self._client.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        request = f"GET /v1/model/response/{job_id}?wait=60 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
        writer.write(f"{request}Authorization: Bearer {self._client.key}\r\n\r\n".encode())
        reply = await reader.read()
        writer.close()
        head, _, body = reply.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 503"):
            # A busy server says so, and a client comes again.
            await asyncio.sleep(1)
            return TRY_AGAIN
        assert head.startswith(b"HTTP/1.1 200"), head
        status: str = json.loads(body)["status"]
        return status
