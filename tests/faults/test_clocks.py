"""What happens when the clocks of the machines are hours off: the database's clock decides, and nobody else's."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import count

import pytest

from app.domain.ids import parse_public_id
from app.domain.rates import Overrides, Rate
from tests.cluster import Client
from tests.event_stream import EventStream
from tests.faults.conftest import Loaded
from tests.faults.deployment import APIS, LEASE, SCOPES, Deployment
from tests.faults.scene import fake_clock
from tests.processes import wait_until

HOUR = 3600.0
OFFSETS = {"api1": 2, "api2": -2, "jobs1": -2, "jobs2": 2, "system": 2}
"""Hours by which clocks are wrong; that of beat, and the database's, are right."""
SLACK = 600.0
"""Seconds: far more than anything takes here, far less than the clocks are off."""
RECOVERY = LEASE + 15
PATIENCE = 60.0

_numbers = count(1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with wrong clocks, which keeps results for less time than they are wrong by."""
    folder = tmp_path_factory.mktemp("deployment")
    with Deployment(
        folder,
        SIMMER_RETENTION=f"{HOUR:g}",
        SIMMER_LOG_FORMAT="json",
        SIMMER_KEY_CACHE="0",
        SIMMER_DATABASE_POOL_TIMEOUT="10",
    ) as made:
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda item: _set_clock(made, *item), OFFSETS.items()))
        yield made


def _set_clock(deployment: Deployment, name: str, hours: int) -> None:
    """Start the node again, and make sure that it believes in the wrong time."""
    node = deployment.nodes[name]
    node.kill()
    node.start(**fake_clock(f"{hours:+}h"))
    line = node.process.wait_log('{"at": "', PATIENCE)
    at = datetime.fromisoformat(line.partition('{"at": "')[2].partition('"')[0])
    assert abs(at.timestamp() - time.time() - hours * HOUR) < SLACK


def _held(deployment: Deployment, api: str) -> tuple[str, str]:
    """The words and the id of a job that a worker holds at a gate of the same name."""
    words = f"held-{next(_numbers)}-end"
    job_id = deployment.client(api).submit(f"{words} [[gate {words}]]")
    deployment.upstream.wait_for_call(words, PATIENCE)
    return words, job_id


def _purged(deployment: Deployment) -> None:
    """Wait until a purge has run: one job's time is over, and it is gone."""
    client = deployment.client()
    job_id = client.submit("to be purged")
    client.wait(job_id)
    with deployment.database() as connection:
        connection.execute("UPDATE jobs SET expires_at = now() WHERE id = %s", (parse_public_id(job_id),))

        def gone() -> bool:
            found = connection.execute("SELECT FROM jobs WHERE id = %s", (parse_public_id(job_id),))
            return found.fetchone() is None

        wait_until(gone, PATIENCE, "a purge has run")


def test_no_lease_is_lost_and_no_result_purged_early(deployment: Deployment, loaded: Loaded) -> None:
    """Row 24. Guarded by the database, whose clock alone decides what is over, and writes all times of a job."""
    kept = deployment.client()
    early = kept.submit("is kept for an hour")
    kept.wait(early)
    with loaded(rate=4):
        held = [_held(deployment, api) for api in (*APIS, *APIS)]
        began_at = time.monotonic()
        _purged(deployment)
        # Several sweeps find the leases, which heartbeats must have extended by now.
        wait_until(lambda: time.monotonic() > began_at + LEASE * 1.5, PATIENCE, "a lease and a half")
        for words, job_id in held:
            assert kept.get(job_id)["status"] == "in_progress"
            deployment.upstream.open_gate(words)
        for words, job_id in held:
            job = kept.wait(job_id)
            assert (job["status"], job["attempts"], len(deployment.upstream.calls(words))) == ("completed", 1, 1)
            assert abs(job["created_at"] - time.time()) < SLACK
            assert abs(job["completed_at"] - time.time()) < SLACK
    _purged(deployment)
    assert kept.get(early)["status"] == "completed"


@pytest.mark.parametrize("api", APIS)
def test_a_wait_and_a_stream_end_with_the_job(deployment: Deployment, api: str) -> None:
    """Row 24. Guarded by the monotonic clock, by which every wait is measured."""
    client = deployment.client(api)
    words, job_id = _held(deployment, api)
    path = f"/v1/model/response/{job_id}?wait="
    assert client.request("GET", f"{path}1").json["status"] == "in_progress"
    deployment.upstream.open_gate(words)
    assert client.request("GET", f"{path}20").json["status"] == "completed"
    inputs = [{"role": "user", "texts": [{"text": "streams [[tokens 20 rate=20]]"}]}]
    body = {"model": "gpt-4.1", "background": True, "stream": True, "inputs": inputs}
    with EventStream(client, "POST", "/v1/model/response", body) as stream:
        events = list(stream.events())
    assert [event.data["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1].data["response"]["status"] == "completed"


def test_keys_expire_by_the_clock_of_the_database(deployment: Deployment) -> None:
    """Row 24. Guarded by the look-up of keys, which asks the database whether one is expired."""
    _, hour = deployment.container.keys.create("for an hour", SCOPES, lifetime=HOUR)
    _, second = deployment.container.keys.create("for a second", SCOPES, lifetime=1)
    for api in APIS:
        assert _listed(deployment, api, hour) == 200
        wait_until(lambda api=api: _listed(deployment, api, second) == 401, PATIENCE, "the key has expired")  # type: ignore[misc]


def _listed(deployment: Deployment, api: str, secret: str) -> int:
    url = deployment.client(api).url
    return Client(url, secret).request("GET", "/v1/model/response").status


def test_rates_are_counted_by_one_clock(deployment: Deployment) -> None:
    """Row 24. Guarded by the broker, whose clock counts the requests of both APIs in one window."""
    limited = Overrides(poll_rate=Rate(4, 5))
    _, secret = deployment.container.keys.create("limited", SCOPES, overrides=limited)
    clients = [Client(deployment.client(api).url, secret) for api in APIS]
    replies = [client.request("GET", "/v1/model/response") for client in clients * 5]
    assert [reply.status for reply in replies].count(200) < 8
    refused = [reply for reply in replies if reply.status == 429]
    assert refused
    for reply in refused:
        assert 1 <= int(reply.headers["Retry-After"]) <= 10
    for client in clients:
        wait_until(
            lambda client=client: client.request("GET", "/v1/model/response").status == 200,  # type: ignore[misc]
            PATIENCE,
            "allowed again",
        )


def test_a_lease_that_is_lost_is_noticed(deployment: Deployment) -> None:
    """Row 24. Guarded by sweeps that never expire: a worker ahead of beat would take each for too old, and drop it.

    The last test here: the worker comes back with the right time.
    """
    words, job_id = _held(deployment, "api1")
    with deployment.database() as connection:
        found = connection.execute("SELECT worker FROM jobs WHERE id = %s", (parse_public_id(job_id),)).fetchone()
    assert found
    deployment.nodes[found[0].partition("@")[0]].kill()
    deployment.upstream.wait_for_call(words, RECOVERY, attempt=2)
    deployment.upstream.open_gate(words)
    assert deployment.client().wait(job_id)["attempts"] == 2
