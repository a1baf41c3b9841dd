"""Simmer with encryption switched on, on real processes: every way to a result works as without, no row and no
entry of the broker holds a word of it, and a missing key loses nothing.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
import redis

from app.container import Container
from app.settings import Settings
from tests.acceptance.conftest import SCOPES
from tests.cluster import Client, Cluster, environment
from tests.conftest import fresh_broker, fresh_database, write_models
from tests.encryption import CANARY, keys
from tests.event_stream import EventStream, read_all
from tests.upstream.client import MockUpstream

PATH = "/v1/responses"


class Site(NamedTuple):
    """A whole Simmer that seals with the key `b`, and still has an older one."""

    client: Client
    database_url: str
    broker_url: str


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str, upstream_server: MockUpstream
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("encrypted")
    with fresh_database(postgres) as database_url:
        broker_url = fresh_broker(valkey)
        models = write_models(folder, upstream_server)
        env = environment(database_url, broker_url, models, SIMMER_ENCRYPTION_KEYS=keys("b", "a"))
        with Cluster(folder, env) as cluster:
            cluster.worker()
            cluster.system()
            key = Container(Settings(database_url=database_url)).keys.create("sealed", SCOPES)[1]
            yield Site(Client(cluster.api(), key), database_url, broker_url)


def create(client: Client, text: str, **more: Any) -> Any:
    reply = client.request("POST", PATH, {"model": "gpt-4.1", "input": text, **more})
    assert reply.status == 200, reply
    return reply.json


def text_of(response: Any) -> str:
    said: str = response["output"][0]["content"][0]["text"]
    return said


def polled(client: Client) -> str:
    """In the background, in the other dialect."""
    job = client.wait(client.submit(CANARY), "completed")
    [listed] = [each for each in client.all() if each["id"] == job["id"]]
    assert listed["output"] == job["output"]
    return text_of(job)


def synchronous(client: Client) -> str:
    return text_of(create(client, CANARY, instructions=CANARY))


def streamed(client: Client) -> str:
    """Live, and again from the database: the same bytes."""
    body = {"model": "gpt-4.1", "input": CANARY, "stream": True, "background": True}
    with EventStream(client, "POST", PATH, body) as stream:
        *_, last = stream.events()
    job_id = last.data["response"]["id"]
    assert read_all(client, f"{PATH}/{job_id}?stream=true") == stream.frames
    return text_of(last.data["response"])


def continued(client: Client) -> str:
    """The answer to a follow-up, whose input items hold the conversation before it."""
    first = create(client, CANARY)
    second = create(client, "And then?", previous_response_id=first["id"])
    items = client.request("GET", f"{PATH}/{second['id']}/input_items?order=asc").json["data"]
    assert CANARY in str(items)
    assert second["previous_response_id"] == first["id"]
    return text_of(first)


def repeated(client: Client) -> str:
    """What an idempotency key brings back."""
    body = {"model": "gpt-4.1", "input": CANARY}
    one, two = (client.request("POST", PATH, body, **{"Idempotency-Key": "sealed"}).json for _ in range(2))
    assert one["id"] == two["id"]
    return text_of(two)


def cancelled(client: Client) -> str:
    """What a stream had said when it was cancelled: the log comes from the broker then, not from the worker."""
    body = {"model": "gpt-4.1", "input": f"{CANARY} [[tokens 3000 rate=100]]", "stream": True, "background": True}
    with EventStream(client, "POST", PATH, body) as stream:
        events = stream.events()
        job_id = next(events).data["response"]["id"]
        next(event for event in events if event.name == "response.output_text.delta")
        assert client.request("POST", f"{PATH}/{job_id}/cancel").status == 200
        *_, last = events
    assert last.data["response"]["status"] == "cancelled"
    assert read_all(client, f"{PATH}/{job_id}?stream=true") == stream.frames
    return f"echo: {CANARY}"


@pytest.mark.parametrize("way", [polled, synchronous, streamed, continued, repeated, cancelled])
def test_every_way_to_a_result_works_and_leaves_no_word_of_it(site: Site, way: Any) -> None:
    assert way(site.client) == f"echo: {CANARY}"
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        found = connection.execute("SELECT j::text, encode(coalesce(events, ''), 'escape') FROM jobs AS j").fetchall()
    assert found
    assert CANARY not in str(found)
    assert CANARY not in str(_everything_in(site.broker_url))


def test_a_missing_key_loses_nothing(cluster: Cluster, key: str) -> None:
    client = Client(cluster.api(SIMMER_ENCRYPTION_KEYS=keys("a")), key)
    without = Client(cluster.api(name="without"), key)
    cluster.system()
    worker = cluster.worker("without-key", SIMMER_ENCRYPTION_KEYS=keys("b"))
    job_id = client.submit(CANARY)
    told = worker.wait_log("SIMMER_ENCRYPTION_KEYS does not name", 20)
    assert "key_id=a" in told
    job = client.get(job_id)
    assert (job["status"], job.get("attempts", 0)) == ("queued", 0)
    refused = without.request("GET", f"/v1/model/response/{job_id}")
    assert (refused.status, refused.json["error"]["type"]) == (503, "server_error")
    assert "key_id=a" in cluster.started("without").wait_log("SIMMER_ENCRYPTION_KEYS does not name", 20)
    worker.stop()
    cluster.worker("with-key", SIMMER_ENCRYPTION_KEYS=keys("a"))
    assert text_of(client.wait(job_id, "completed", timeout=60)) == f"echo: {CANARY}"
    assert CANARY not in cluster.logs()


def _everything_in(broker_url: str) -> list[Any]:
    """All streams that the broker holds; a log outlives its job by a minute."""
    client = redis.Redis.from_url(broker_url)
    return [client.xrange(key) for key in client.scan_iter("simmer:events:*")]
