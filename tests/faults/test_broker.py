"""What happens to jobs when the broker is killed, emptied, frozen or full: it carries hints, and nothing else."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from app.adapters.queue import RUN_JOB
from tests.cluster import Client
from tests.event_stream import EventStream
from tests.faults.conftest import Loaded
from tests.faults.deployment import BEATS, SYSTEM, Deployment
from tests.faults.scene import celery_of
from tests.processes import wait_until

PATIENCE = 60.0
FROZEN = 12.0
"""Seconds: longer than every time-out on the way to the broker."""
IN_TIME = 10.0
"""Seconds in which a create is answered without a broker: half a second for each thing that it asks of it, on a machine
that is busy.
"""


@contextmanager
def _broker(deployment: Deployment) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(deployment.broker.url) as broker:
        yield broker


def _create_in_time(client: Client, words: str) -> str:
    """A create answers 200, and soon; without short time-outs it would hang for 45 s and more."""
    asked_at = time.monotonic()
    job_id = client.submit(words)
    assert time.monotonic() - asked_at < IN_TIME
    return job_id


def test_the_broker_is_killed_and_comes_back_empty(deployment: Deployment, loaded: Loaded) -> None:
    """Row 9. Guarded by the sweep, which sends lost messages again, and by the workers' endless reconnecting."""
    client = deployment.client()
    with loaded() as load:
        deployment.broker.kill()
        for written in deployment.folder.glob("broker/valkey/appendonly*"):
            shutil.rmtree(written)
        job_ids = [_create_in_time(client, f"no broker {number}") for number in range(3)]
        assert {client.get(job_id)["status"] for job_id in job_ids} == {"queued"}
        deployment.broker.start()
        for job_id in job_ids:
            assert client.wait(job_id, timeout=PATIENCE)["status"] == "completed"
        load.wait_accepted(5)


def test_workers_consume_again_without_the_sweep(deployment: Deployment) -> None:
    """Row 9. Guarded by `broker_connection_max_retries=None`: workers reconnect for as long as it takes."""
    client = deployment.client()
    for name in (SYSTEM, *BEATS):
        deployment.nodes[name].kill()
    deployment.broker.kill()
    job_id = client.submit("published by nobody")
    for node in deployment.workers:
        # The second of Celery's tries, after a pause of 2 s.
        node.process.wait_log("Trying again in 4", PATIENCE)
    deployment.broker.start()
    celery_of(deployment).send_task(RUN_JOB, args=(job_id,), task_id=job_id, queue="default")
    assert client.wait(job_id, timeout=PATIENCE)["status"] == "completed"


def test_the_broker_is_flushed_under_load(deployment: Deployment, loaded: Loaded) -> None:
    """Row 10. Guarded by the sweep, which sends the messages of queued jobs again."""
    client = deployment.client()
    with loaded() as load, _broker(deployment) as broker:
        for node in deployment.workers:
            node.freeze()
        job_ids = [client.submit(f"flushed {number}") for number in range(20)]
        wait_until(lambda: deployment.backlog("default") > 0, PATIENCE, "messages wait")
        broker.flushall()
        assert deployment.backlog("default") < 20
        for node in deployment.workers:
            node.resume()
        for job_id in job_ids:
            assert client.wait(job_id, timeout=PATIENCE)["status"] == "completed"
        for _ in range(3):
            load.wait_accepted(5)
            broker.flushall()


def test_the_broker_is_frozen(deployment: Deployment, loaded: Loaded) -> None:
    """Row 11. Guarded by the API's short socket time-outs, and by its circuit breakers: only the first wait."""
    client = deployment.client()
    with loaded() as load:
        load.wait_accepted(5)
        with deployment.frozen(deployment.broker.process):
            frozen_at = time.monotonic()
            job_ids = []
            while time.monotonic() - frozen_at < FROZEN:
                job_ids.append(_create_in_time(client, "broker frozen"))
                assert client.get(job_ids[-1])["status"] == "queued"
                load.wait_accepted(1)
        for job_id in job_ids:
            assert client.wait(job_id, timeout=PATIENCE)["status"] == "completed"


def test_the_broker_is_full(deployment: Deployment, loaded: Loaded) -> None:
    """Row 12. Guarded by the dispatcher, for which a broker that refuses is one that is down, and by the sweep."""
    client = deployment.client()
    with loaded() as load, _broker(deployment) as broker:
        broker.config_set("maxmemory", 1)
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                broker.set("refused", "by a full broker")
            job_ids = [_create_in_time(client, f"broker full {number}") for number in range(5)]
            load.wait_accepted(5)
            assert {client.get(job_id)["status"] for job_id in job_ids} == {"queued"}
        finally:
            broker.config_set("maxmemory", 0)
        assert all(node.process.running for node in deployment.nodes.values())
        for job_id in job_ids:
            assert client.wait(job_id, timeout=PATIENCE)["status"] == "completed"


@pytest.mark.parametrize("everything", [False, True])
def test_a_running_stream_loses_its_events(deployment: Deployment, loaded: Loaded, everything: bool) -> None:
    """Row 28. Guarded by the worker, which has all events: what the broker lost is sent again, or comes from the whole
    log that is kept with the job at its end. Either of the two is enough.
    """
    client = deployment.client()
    with loaded(), _broker(deployment) as broker:
        body = _streamed("loses its events [[tokens 60 rate=20]]")
        with EventStream(client, "POST", "/v1/model/response", body) as stream:
            events = stream.events()
            seen = [next(events) for _ in range(8)]
            job_id = seen[0].data["response"]["id"]
            lost = broker.flushall() if everything else broker.delete(*broker.scan_iter("simmer:events:*"))
            assert lost
            seen += list(events)
        assert [event.data["sequence_number"] for event in seen] == list(range(len(seen)))
        assert seen[-1].data["response"]["status"] == "completed"
        job = client.get(job_id)
    assert job["output"] == seen[-1].data["response"]["output"]
    said = "".join(event.data["delta"] for event in seen if event.name == "response.output_text.delta")
    assert said == job["output"][0]["content"][0]["text"]


def _streamed(text: str) -> dict[str, object]:
    inputs = [{"role": "user", "texts": [{"text": text}]}]
    return {"model": "gpt-4.1", "background": True, "stream": True, "inputs": inputs}
