"""What Simmer does while Postgres is gone, full or busy, and when it ends a transaction in the middle."""

import random
import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, product
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest

from app.domain.ids import new_id, parse_public_id, public_id
from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect
from tests.cluster import Client, Reply
from tests.faults.conftest import Loaded
from tests.faults.deployment import APIS, KEYS, Deployment
from tests.faults.full_disk import NO_SPACE
from tests.faults.held import At, Held, held
from tests.faults.history import Create, History, Read
from tests.faults.part_faults import backends_terminated
from tests.faults.scene import Scene
from tests.processes import wait_until
from tests.rows import image

PATIENCE = "25"
"""Seconds after which Postgres ends a statement, and its wait for a lock: long after the API has given up waiting for
a connection, on a busy machine too.
"""
BIG = 200_000
"""Bytes of a prompt for which the table needs more pages than it has, however well they compress."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All processes of a deployment."""
    folder = tmp_path_factory.mktemp("postgres")
    with Deployment(folder, SIMMER_LOCK_TIMEOUT=PATIENCE, SIMMER_STATEMENT_TIMEOUT=PATIENCE) as made:
        yield made


def test_postgres_is_killed_and_started_again(deployment: Deployment, loaded: Loaded) -> None:
    """Row 13. Guarded by `Database.transaction`, for which an outage is an UnavailableError, and by Postgres, which has
    on its disk what it has committed.
    """
    client = deployment.client()
    job_id = client.submit("in a worker's hands [[gate outage]]")
    deployment.upstream.wait_for_call("in a worker's hands", 20)
    with loaded() as load:
        deployment.postgres.kill()
        killed_at = time.time()
        for reply in _probe(deployment, job_id):
            _assert_unavailable(reply, "unavailable", "overloaded")
        deployment.upstream.open_gate("outage")
        calls = len(deployment.upstream.calls())
        started_at = time.time()
        deployment.postgres.start()
        load.wait_accepted(10)
        deployment.upstream.wait_for_call("canary", 30, since=calls)
        # Nothing but Postgres was started again.
        assert all(node.process.running for node in deployment.nodes.values())
    assert client.wait(job_id)["status"] == "completed"
    assert _statuses(load.history, killed_at, started_at) <= {503, None}


def test_the_disk_of_postgres_is_full(deployment: Deployment, loaded: Loaded) -> None:
    """Row 14. Guarded by `Database.transaction`, for which a full disk is an UnavailableError too, and by Postgres: it
    stops rather than forget what it has committed.
    """
    client = deployment.client()
    mark = deployment.postgres.process.log_size()
    with loaded() as load:
        with deployment.disk.full():
            body, refused = _refused_create(client)
            _assert_unavailable(refused, "unavailable")
            assert NO_SPACE in deployment.postgres.process.output(since=mark)
            _fill_log(deployment)
            for reply in _probe(deployment, public_id(new_id())):
                _assert_unavailable(reply, "unavailable", "overloaded")
        deployment.postgres.come_back()
        assert "PANIC" in deployment.postgres.process.output(since=mark)
        load.wait_accepted(10)
        assert all(node.process.running for node in deployment.nodes.values())
    created = client.request("POST", FREDDY.path, body)
    assert client.wait(created.json["id"])["status"] == "completed"


def test_every_connection_of_the_pool_is_in_use(deployment: Deployment) -> None:
    """Row 15. Guarded by the time that a request waits for its turn at a connection, and then is refused."""
    client = deployment.client()
    job_id = client.submit("nobody can read it")
    client.wait(job_id)
    number = len(APIS) * deployment.container.settings.database_pool
    with ThreadPoolExecutor(number) as threads, psycopg.connect(deployment.postgres.url) as locking:
        locking.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        path = f"{FREDDY.path}/{job_id}"
        readers = [
            threads.submit(deployment.client(api).request, "GET", path) for api in APIS for _ in range(number // 2)
        ]
        waiting = wait_until(lambda: _readers(deployment, number), 20, "every connection waits in Postgres")
        for reply in _probe(deployment, job_id, "bob"):
            _assert_unavailable(reply, "unavailable")
        for url in deployment.urls:
            with urlopen(f"{url}/healthz", timeout=20) as health:
                assert health.status == 200
        # None of these was given back for it.
        assert _readers(deployment, number) == waiting
        locking.rollback()
        assert {reader.result().status for reader in readers} == {200}
        assert {reply.status for reply in _probe(deployment, job_id)} == {200}


@pytest.mark.parametrize("at", [At.UPDATE, At.UPDATES_COMMIT])
def test_the_transaction_of_a_settle_is_terminated(deployment: Deployment, at: At) -> None:
    """Row 16. Guarded by the worker, which settles again."""
    client = deployment.client()
    with _settling(deployment, at, f"{at.name} terminated") as (job_id, caught):
        terminated = caught.wait()
        caught.terminate(terminated)
        assert caught.wait() != terminated
        assert client.get(job_id)["status"] == "in_progress"
    job = client.wait(job_id)
    assert (job["status"], job["attempts"]) == ("completed", 1)


def test_the_reply_to_a_settle_is_lost(deployment: Deployment) -> None:
    """Row 16, the other way round. Guarded by the move's condition, and by the table's trigger behind it: nothing leads
    out of a terminal state.
    """
    client = deployment.client()
    with _settling(deployment, At.UPDATES_COMMIT, "settled unheard") as (job_id, caught):
        caught.wait()
        worker = next(node for node in deployment.workers if job_id in node.process.output())
        link, mark = worker.links["postgres"], worker.process.log_size()
        link.half_open()
        caught.release()
        client.wait(job_id, "completed")
        settled = _image(deployment, job_id)
        link.reset()
        link.pass_through()
        # Its own next try, or its heartbeat before that, learns that the job is settled.
        stopped = re.compile("result dropped|job aborted")
        wait_until(lambda: stopped.search(worker.process.output(since=mark)), 20, "the worker lets go of the job")
    assert _image(deployment, job_id) == settled
    assert client.get(job_id)["attempts"] == 1


def test_transactions_are_terminated_under_load(deployment: Deployment, loaded: Loaded) -> None:
    """Row 16, wherever it strikes. Guarded by the same."""
    mark = deployment.postgres.process.log_size()
    with loaded() as load:
        with backends_terminated(Scene(deployment, load, random.Random(1))):
            load.wait_accepted(5)
        assert "due to administrator command" in deployment.postgres.process.output(since=mark)


def _probe(deployment: Deployment, job_id: str, key: str = KEYS[0]) -> list[Reply]:
    """The answers to a create and a read in either dialect, by either API, all asked at once."""

    def ask(api: str, dialect: Dialect) -> list[Reply]:
        client = deployment.client(api, key)
        return [
            client.request("POST", dialect.path, dialect.body("probe", model="mock")),
            client.request("GET", f"{dialect.path}/{job_id}"),
        ]

    asked = list(product(APIS, (FREDDY, OPENAI)))
    with ThreadPoolExecutor(len(asked)) as threads:
        return list(chain.from_iterable(threads.map(ask, *zip(*asked, strict=True))))


def _assert_unavailable(reply: Reply, *codes: str) -> None:
    """It is a 503 for one of these reasons, and says when to come back."""
    assert (reply.status, reply.json["error"]["type"]) == (503, "server_error")
    assert reply.json["error"]["code"] in codes
    assert 1 <= int(reply.headers["Retry-After"]) <= 120


def _statuses(history: History, after: float, before: float) -> set[int | None]:
    """What was answered to requests that were sent and answered between these times."""
    requests: list[Create | Read] = [*history.of(Create), *history.of(Read)]
    return {asked.status for asked in requests if asked.sent_at > after and (asked.answered_at or before) < before}


def _refused_create(client: Client) -> tuple[Any, Reply]:
    """Something big that there is no room for, and its refusal."""
    body = FREDDY.body(secrets.token_hex(BIG), model="mock")

    def refused() -> Reply | None:
        reply = client.request("POST", FREDDY.path, body)
        # Of a refusal for want of a place nothing can be learned.
        return reply if reply.status != 200 and reply.json["error"]["code"] != "overloaded" else None

    refusal = wait_until(refused, 30, "a create is refused")
    assert refusal
    return body, refusal


def _fill_log(deployment: Deployment) -> None:
    """Write into Postgres's own log until it needs one file more than there are."""
    megabytes = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000)) FROM generate_series(1, 200)"
    with psycopg.connect(deployment.postgres.url) as writer, pytest.raises(psycopg.OperationalError):
        writer.execute(megabytes)


def _readers(deployment: Deployment, number: int) -> set[int]:
    """The backends in which a request waits to read jobs, once there are so many."""
    with psycopg.connect(deployment.postgres.url) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT jobs.%'"
        ).fetchall()
    return {pid for (pid,) in found} if len(found) == number else set()


@contextmanager
def _settling(deployment: Deployment, at: At, text: str) -> Iterator[tuple[str, Held]]:
    """A job whose worker is caught while it settles it."""
    gate = text.replace(" ", "-")
    job_id = deployment.client().submit(f"{text} [[gate {gate}]]")
    deployment.upstream.wait_for_call(text, 20)
    which = f"NEW.id = '{parse_public_id(job_id)}' AND NEW.status = 'completed'"
    with held(deployment.postgres.url, at, which) as caught:
        deployment.upstream.open_gate(gate)
        yield job_id, caught
    assert len(deployment.upstream.calls(text)) == 1


def _image(deployment: Deployment, job_id: str) -> str | None:
    with deployment.container.database.transaction() as connection:
        found = parse_public_id(job_id)
        assert found
        return image(connection, found)
