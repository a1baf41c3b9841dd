"""What becomes of a create whose API is killed, or hears no more from Postgres, around the commit."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPException

import psycopg
import pytest

from tests.cluster import Client, Reply
from tests.faults.conftest import Loaded
from tests.faults.deployment import Deployment
from tests.faults.errands import PATH
from tests.faults.held import At, Held, held
from tests.faults.history import Fault
from tests.processes import wait_until


@dataclass(frozen=True, slots=True)
class Create:
    """One logical request: its text is in its prompt, and is its idempotency key."""

    text: str
    deployment: Deployment
    threads: ThreadPoolExecutor

    def send(self, api: str) -> Future[Reply | None]:
        """Send it, once more or for the first time. No reply: the connection broke."""
        return self.threads.submit(_create, self.deployment.client(api), self.text)

    def rows(self) -> int:
        """How many jobs it has become."""
        with psycopg.connect(self.deployment.postgres.url) as connection:
            query = "SELECT count(*) FROM jobs WHERE idempotency_key = %s"
            found: list[tuple[int]] = connection.execute(query, (self.text,)).fetchall()
        return found[0][0]

    def assert_one_job(self, reply: Reply | None) -> None:
        """The last try was answered with it, and all tries are one job, which runs once."""
        assert reply
        assert reply.status == 200
        job = self.deployment.client("api2").wait(reply.json["id"])
        assert (job["status"], job["attempts"]) == ("completed", 1)
        assert self.rows() == 1
        assert len(self.deployment.upstream.calls(self.text)) == 1


@pytest.fixture
def create(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Create]:
    """A request of this test's own."""
    with ThreadPoolExecutor() as threads:
        yield Create(request.node.name, deployment, threads)


def test_an_api_is_killed_before_the_commit(deployment: Deployment, create: Create) -> None:
    """Row 1. Guarded by Postgres, which is told to look after its clients (`client_connection_check_interval`)."""
    with _held(create, At.INSERT) as caught:
        answer = create.send("api1")
        backend = caught.wait()
        deployment.nodes["api1"].kill()
        assert answer.result() is None
        # Sooner than by its own time limit of 10 s.
        wait_until(lambda: caught.state(backend) is None, 6, "the statement has ended with its client")
    assert create.rows() == 0
    create.assert_one_job(create.send("api2").result())


def test_an_api_is_killed_after_the_commit_and_before_the_publish(deployment: Deployment, create: Create) -> None:
    """Row 2. Guarded by the sweep, for which the row is the outbox, and by the key, which finds the row."""
    api = deployment.nodes["api1"]
    with _held(create, At.INSERTS_COMMIT) as caught:
        answer = create.send("api1")
        caught.wait()
        # The API never hears of the commit, and so does not come to the publish.
        api.links["postgres"].half_open()
        caught.release()
        wait_until(lambda: create.rows() == 1, 20, "the row is committed")
        api.kill()
    assert answer.result() is None
    deployment.upstream.wait_for_call(create.text, 30)
    replayed = create.send("api2").result()
    create.assert_one_job(replayed)
    assert replayed
    assert replayed.headers["Idempotency-Replayed"] == "true"


def test_the_reply_to_a_commit_is_swallowed(deployment: Deployment, create: Create) -> None:
    """Row 3. Guarded by the key, which finds the row of the first try, and by the sweep, which runs it."""
    link = deployment.nodes["api1"].links["postgres"]
    swallowed = link.counters.swallowed
    # The insert alone holds the key; it is its own transaction.
    link.swallow_next_reply(create.text.encode())
    refused = create.send("api1").result()
    assert link.counters.swallowed == swallowed + 1
    assert refused
    assert (refused.status, refused.json["error"]["code"]) == (503, "unavailable")
    assert create.rows() == 1
    replayed = create.send("api1").result()
    create.assert_one_job(replayed)
    assert replayed
    assert replayed.headers["Idempotency-Replayed"] == "true"


def test_an_api_is_killed_under_load(deployment: Deployment, loaded: Loaded) -> None:
    """Rows 1 and 2, wherever it strikes. Guarded by the same."""
    api = deployment.nodes["api1"]
    with loaded() as load:
        killed_at = time.time()
        api.kill()
        load.wait_accepted(10)
        api.heal()
        # Its socket is open before it can answer: for many seconds, if the machine is busy.
        load.history.append(Fault("an API killed, and started", killed_at, time.time(), frozenset({"I9"})))


def _held(create: Create, at: At) -> AbstractContextManager[Held]:
    return held(create.deployment.postgres.url, at, f"NEW.idempotency_key = '{create.text}'")


def _create(client: Client, text: str) -> Reply | None:
    body = {"model": "mock", "background": True, "inputs": [{"role": "user", "texts": [{"text": text}]}]}
    try:
        return client.request("POST", PATH, body, **{"Idempotency-Key": text})
    except (OSError, HTTPException):
        return None
