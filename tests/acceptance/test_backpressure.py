"""A process that is busy refuses what comes on top, at once; who waits does not make it busy."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest
import redis

from app.adapters.doorbell import channel
from app.adapters.rate_limiter import NEAR
from app.api.backpressure import BURST
from app.api.headers import EVERY
from app.container import Container
from app.domain.ids import public_id
from app.domain.rates import Overrides, Rate
from app.settings import Settings
from tests.cluster import Client, Cluster, Reply, environment
from tests.conftest import fresh_database, write_models
from tests.processes import wait_until
from tests.upstream.client import MockUpstream

PLACES = 8
CREATES = PLACES // 2
MANY = PLACES * BURST
"""More than are let in at once from one key, even in a burst."""
DEADLINE = 30.0
URL = "/v1/responses"
BODY = {"model": "gpt-4.1", "input": "hello", "background": True}
FREDDY = {"model": "gpt-4.1", "inputs": [{"role": "user", "texts": [{"text": "hello"}]}], "background": True}
UNKNOWN = f"{URL}/resp_{'0' * 32}"


@dataclass
class Held:
    """A request whose answer is read later, or never."""

    socket: socket.socket

    @classmethod
    def send(cls, client: Client, method: str, path: str, body: object = None, *, cut: int = 0) -> "Held":
        """`cut` bytes of the body stay behind."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {client.key}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        address = urlsplit(client.url)
        held = cls(socket.create_connection((address.hostname, address.port), DEADLINE))
        held.socket.sendall(head.encode() + data[: len(data) - cut])
        return held

    def peek(self) -> bytes:
        """The first line of the answer, once it begins."""
        return self.socket.recv(20, socket.MSG_PEEK).partition(b"\r")[0]

    def status(self) -> int:
        """Read the answer."""
        with self.socket, HTTPResponse(self.socket) as response:
            response.begin()
            return response.status


@dataclass
class Site:
    """One API process with few places, and its database."""

    client: Client
    other: Client
    counted: Client
    """Its rate is so small that each of its requests is counted at once."""
    database_url: str
    broker_url: str
    held: list[Held] = field(default_factory=list)

    @contextmanager
    def busy(self, creates: int = CREATES, polls: int = 0) -> Iterator[None]:
        """So many requests are in work for the block: they wait for a table, and have for a while."""
        with psycopg.connect(self.database_url) as locker, psycopg.connect(self.database_url) as watcher:
            watcher.autocommit = True
            locker.execute("LOCK TABLE jobs")
            self.held = [Held.send(self.client, "POST", URL, BODY) for _ in range(creates)]
            self.held += [Held.send(self.client, "GET", UNKNOWN) for _ in range(polls)]
            wait_until(lambda: blocked(watcher) == creates + polls, DEADLINE, "all are in work, and not just now")
            yield
        assert [held.status() for held in self.held] == [200] * creates + [404] * polls

    def stored(self) -> list[UUID]:
        """The ids of all jobs."""
        with psycopg.connect(self.database_url) as connection:
            return [row[0] for row in connection.execute("SELECT id FROM jobs")]

    def waiting(self) -> int:
        """Jobs that somebody waits for."""
        found = redis.Redis.from_url(self.broker_url).pubsub_channels("*")
        return len({channel(job_id).encode() for job_id in self.stored()} & set(found))

    def charged(self) -> int:
        """Creates that were counted for their key's rate, which is done before the body is read."""
        broker = redis.Redis.from_url(self.broker_url)
        counters = [name for name in broker.scan_iter("simmer:rate:create:*") if not name.endswith(b":before")]
        return sum(int(broker.get(name) or 0) for name in counters)


def blocked(connection: psycopg.Connection) -> int:
    """Statements that have waited for longer than a process takes bursts."""
    asked = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        " AND query_start < clock_timestamp() - interval '0.5 seconds'"
        # The process's own look at what became of those who wait, which is nobody's request.
        " AND query !~* 'jobs.id = any'"
    )
    return int(asked.fetchone()[0])  # type: ignore[index]


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str, upstream_server: MockUpstream
) -> Iterator[Site]:
    """No worker runs: what is created stays queued."""
    folder = tmp_path_factory.mktemp("backpressure")
    with fresh_database(postgres) as database_url:
        patient = {"SIMMER_LOCK_TIMEOUT": "100", "SIMMER_STATEMENT_TIMEOUT": "100"}
        places = {"SIMMER_MAX_CONCURRENT_REQUESTS": str(PLACES), "SIMMER_DATABASE_POOL": "20"}
        models = write_models(Path(folder), upstream_server)
        with Cluster(folder, environment(database_url, valkey, models, **patient, **places)) as cluster:
            keys = Container(Settings(database_url=database_url)).keys
            one, other = (keys.create(name, ["responses:read", "responses:write"])[1] for name in ("one", "other"))
            url = cluster.api()
            small = Overrides(create_rate=Rate(NEAR, 3600))
            counted = keys.create("counted", ["responses:write"], overrides=small)[1]
            made = Site(Client(url, one), Client(url, other), Client(url, counted), database_url, valkey)
            for client in (made.client, made.other):
                # From here on neither key nor pool has anything to do that could fail.
                assert client.request("POST", URL, BODY).status == 200
            yield made


def assert_refused(reply: Reply) -> None:
    error = reply.json["error"]
    assert (reply.status, error["type"], error["code"]) == (503, "server_error", "overloaded")
    assert 1 <= int(reply.headers["Retry-After"]) <= 5
    assert reply.headers["X-Request-Id"].startswith("req_")
    assert EVERY.items() <= reply.headers.items()


@pytest.mark.parametrize(("path", "body"), [(URL, BODY), ("/v1/model/response", FREDDY)])
def test_a_create_too_many_is_refused_and_nothing_of_it_stays(site: Site, path: str, body: object) -> None:
    before, key = len(site.stored()), {"Idempotency-Key": path}
    with site.busy():
        assert_refused(site.client.request("POST", path, body, **key))
        assert_refused(site.other.request("POST", path, body))
    assert len(site.stored()) == before + CREATES
    again = [site.client.request("POST", path, body, **key) for _ in range(2)]
    assert [reply.status for reply in again] == [200, 200]
    assert [reply.headers.get("Idempotency-Replayed") for reply in again] == [None, "true"]
    assert len(site.stored()) == before + CREATES + 1


def test_polls_get_in_while_creates_are_refused(site: Site) -> None:
    with site.busy():
        assert site.client.request("GET", "/v1/models").status == 200


def test_another_key_gets_in_while_one_is_refused(site: Site) -> None:
    with site.busy(creates=CREATES, polls=PLACES // 4):
        assert_refused(site.client.request("GET", "/v1/models"))
        assert site.other.request("GET", "/v1/models").status == 200


def test_health_answers_and_an_unknown_address_is_refused_unseen(site: Site) -> None:
    with site.busy(creates=CREATES, polls=PLACES // 4):
        assert site.client.request("GET", "/healthz").status == 200
        assert site.client.request("GET", "/readyz").status == 200
        assert_refused(site.client.request("GET", "/nowhere"))


def test_the_connection_of_a_refused_request_stays_usable(site: Site) -> None:
    headers = {"Authorization": f"Bearer {site.client.key}", "Content-Type": "application/json"}
    connection = HTTPConnection(urlsplit(site.client.url).netloc, timeout=DEADLINE)
    with site.busy():
        for size in (10, 1_000_000):
            connection.request("POST", URL, json.dumps({**BODY, "input": "x" * size}), headers)
            used = connection.sock
            refused = connection.getresponse()
            refused.read()
            assert refused.status == 503
            assert connection.sock is used
        connection.request("GET", "/v1/models", headers=headers)
        assert connection.getresponse().status == 200
        assert connection.sock is used
    connection.close()


def test_after_the_rush_all_is_well(site: Site) -> None:
    with site.busy():
        for _ in range(5):
            assert_refused(site.client.request("POST", URL, BODY))
    assert {site.client.request("POST", URL, BODY).status for _ in range(MANY)} == {200}


def test_who_waits_has_no_place(site: Site) -> None:
    job_ids = [site.client.submit("waited for") for _ in range(MANY)]
    before, held = site.waiting(), []
    for number, job_id in enumerate(job_ids, start=before + 1):
        held.append(Held.send(site.client, "GET", f"{URL}/{job_id}?wait=60"))
        wait_until(lambda: site.waiting() == number, DEADLINE, "one more waits")  # noqa: B023 - asked in this round
    assert_not_busy(site)
    assert {site.client.cancel(job_id).status for job_id in job_ids} == {200}
    assert {request.status() for request in held} == {200}


def test_who_waits_on_the_line_has_no_place(site: Site) -> None:
    before, earlier, held = site.waiting(), site.stored(), []
    for number in range(before + 1, before + MANY + 1):
        held.append(Held.send(site.client, "POST", URL, {**BODY, "background": False}))
        wait_until(lambda: site.waiting() == number, DEADLINE, "one more waits")  # noqa: B023 - asked in this round
    made = set(site.stored()) - set(earlier)
    assert_not_busy(site)
    for job_id in made:
        assert site.client.request("DELETE", f"/v1/model/response/{public_id(job_id)}").status == 200
    assert {request.status() for request in held} == {200}


def test_who_reads_a_stream_has_no_place(site: Site) -> None:
    held = []
    for _ in range(MANY):
        held.append(Held.send(site.client, "POST", URL, {**BODY, "stream": True}))
        assert held[-1].peek() == b"HTTP/1.1 200 OK"
    assert_not_busy(site)
    for request in held:
        request.socket.close()


def test_whose_body_is_still_coming_has_no_place(site: Site) -> None:
    before, held = site.charged(), []
    for number in range(before + 1, before + MANY + 1):
        held.append(Held.send(site.counted, "POST", URL, BODY, cut=1))
        wait_until(lambda: site.charged() >= number, DEADLINE, "one more sends")  # noqa: B023 - asked in this round
    assert_not_busy(site)
    for request in held:
        request.socket.sendall(b"}")
    assert {request.status() for request in held} == {200}


def assert_not_busy(site: Site) -> None:
    """As many get in as if nobody were there, and no more."""
    with site.busy():
        assert site.other.request("GET", "/v1/models").status == 200
        assert_refused(site.other.request("POST", URL, BODY))
