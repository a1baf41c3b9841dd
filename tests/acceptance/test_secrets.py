"""Prompts, results and keys stand in Postgres alone: not in the broker, nor in Flower, nor in any log."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.acceptance.flower import Flower
from tests.cluster import Client, Cluster
from tests.upstream.client import MockUpstream

CANARY = "canary-4f1d9c"


def test_canaries_stand_nowhere_but_in_the_database(
    client: Client, cluster: Cluster, upstream: MockUpstream, broker_url: str
) -> None:
    with _everything_sent_to(broker_url) as commands:
        cluster.system()
        cluster.worker()
        flower = Flower.start(cluster)
        fine = client.submit(f"{CANARY} fine")
        broken = client.submit(f"{CANARY} broken [[garbage]]", model="once")
        refused = client.submit(f"{CANARY} refused [[error code=invalid_prompt]]")
        timed_out = client.submit(f"{CANARY} slow [[hang]]", model="quick", metadata={"who": CANARY})
        cancelled = client.submit(f"{CANARY} cancelled [[hang]]")
        upstream.wait_for_call(f"{CANARY} cancelled", 20)
        client.cancel(cancelled)
        for job_id in (fine, broken, refused, timed_out, cancelled):
            client.wait(job_id)
        client.request("POST", "/v1/model/response", {"model": CANARY, "nonsense": CANARY})
        client.request("GET", f"/v1/{CANARY}?key={CANARY}")
        Client(client.url, client.key[:-1] + "x").request("GET", "/v1/model/response")
        flower.wait_state(fine, "SUCCESS")
        shown = json.dumps([flower.ask("/api/tasks"), flower.ask("/api/workers?refresh=1"), flower.task(fine)])
    places = {"broker": "\n".join(commands), "flower": shown, "logs": cluster.logs()}
    # The places were really looked at: the job's id stands in each.
    assert [name for name, content in places.items() if fine not in content] == []
    for secret in (CANARY, client.key):
        assert [name for name, content in places.items() if secret in content] == []
    assert CANARY in client.get(fine)["output"][0]["content"][0]["text"]


def test_flower_asks_for_its_password(client: Client, cluster: Cluster) -> None:
    cluster.worker()
    flower = Flower.start(cluster)
    assert [flower.status_without_auth(path) for path in ("/", "/api/tasks", "/workers")] == [401, 401, 401]


@contextmanager
def _everything_sent_to(broker_url: str) -> Iterator[list[str]]:
    """The commands that anybody sends to the broker while the block runs."""
    seen: list[str] = []
    connection = redis.Redis.from_url(broker_url)
    with connection.monitor() as monitor:
        listener = threading.Thread(
            target=lambda: seen.extend(command["command"] for command in _until_end(monitor)), daemon=True
        )
        listener.start()
        yield seen
        connection.echo("end-of-test")
        listener.join(30)
        assert not listener.is_alive()


def _until_end(monitor: redis.client.Monitor) -> Iterator[dict[str, str]]:
    for command in monitor.listen():
        if "end-of-test" in command["command"]:
            return
        yield command
