"""Clients that wait on the line: background load does not starve them, and what goes wrong they are told by status."""

from typing import Any

import pytest

from tests.cluster import Client, Cluster, Reply
from tests.processes import wait_until
from tests.upstream.client import MockUpstream


def ask(client: Client, text: str, model: str = "gpt-4.1", **more: Any) -> Reply:
    return client.request("POST", "/v1/responses", {"model": model, "input": text, **more})


def test_a_synchronous_request_answers_with_the_finished_response(shared: Client) -> None:
    reply = ask(shared, "on the line")
    assert (reply.status, reply.json["status"], reply.json["background"]) == (200, "completed", False)
    assert reply.json["output"][0]["content"][0]["text"] == "echo: on the line"


def test_background_load_does_not_starve_it(cluster: Cluster, client: Client, upstream: MockUpstream) -> None:
    cluster.worker("jobs", queue="priority,default,flex", concurrency=2)
    cluster.worker("sync", queue="sync", concurrency=2)
    waiting = [client.submit(f"fills every slot [[gate load]] {number}") for number in range(20)]
    upstream.wait_in_flight("fills every slot", 2, 30)
    assert ask(client, "in spite of the load").json["status"] == "completed"
    assert client.get(waiting[-1])["status"] == "queued"
    upstream.open_gate("load")
    for job_id in waiting:
        client.wait(job_id, "completed")


def test_one_that_takes_too_long_goes_on_and_can_be_fetched(cluster: Cluster, key: str, upstream: MockUpstream) -> None:
    cluster.worker()
    client = Client(cluster.api(SIMMER_SYNC_TIMEOUT="1"), key)
    reply = ask(client, "longer than the client waits [[gate long]]")
    assert (reply.status, reply.json["error"]["code"]) == (504, "response_not_finished")
    # The SDKs repeat a 504 by themselves unless they are told not to.
    assert reply.headers["X-Should-Retry"] == "false"
    job_id = reply.json["error"]["response_id"]
    assert job_id in reply.json["error"]["message"]
    assert client.get(job_id)["status"] == "in_progress"
    refused = client.request("POST", f"/v1/responses/{job_id}/cancel")
    assert (refused.status, refused.json["error"]["code"]) == (400, "illegal_move")
    upstream.open_gate("long")
    assert client.wait(job_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("text", "model", "status", "kind", "code"),
    [
        ("[[status 503]]", "once", 502, "server_error", "upstream_unavailable"),
        ("[[status 429]]", "once", 429, "rate_limit_error", "upstream_rate_limited"),
        ("[[status 401]]", "once", 502, "server_error", "upstream_error"),
        ("[[garbage]]", "once", 502, "server_error", "upstream_invalid_response"),
        ("[[error code=invalid_prompt]]", "once", 400, "invalid_request_error", "invalid_prompt"),
        ("[[error code=context_length_exceeded]]", "once", 400, "invalid_request_error", "context_length_exceeded"),
        ("[[hang]]", "quick", 504, "server_error", "timeout"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/model/response"])
def test_a_failure_is_an_error_of_its_own_status(
    shared: Client, path: str, text: str, model: str, status: int, kind: str, code: str
) -> None:
    body: dict[str, Any] = {"model": model, "input": text}
    if path == "/v1/model/response":
        body = {"model": model, "inputs": [{"role": "user", "content": text}]}
    reply = shared.request("POST", path, body)
    error = reply.json["error"]
    assert (reply.status, error["type"], error["code"]) == (status, kind, code)
    assert reply.headers["X-Should-Retry"] == "false"
    assert shared.get(error["response_id"])["error"]["code"] == code


def test_tiers_choose_the_order(cluster: Cluster, client: Client, upstream: MockUpstream) -> None:
    def submit(tier: str) -> str:
        body = {"model": "gpt-4.1", "input": f"tier {tier}", "background": True, "service_tier": tier}
        job_id: str = client.request("POST", "/v1/responses", body).json["id"]
        return job_id

    before = len(upstream.calls("tier "))
    job_ids = [submit(tier) for tier in ("flex", "auto", "priority")]
    # One slot, so that they run one after the other.
    cluster.worker(queue="priority,default,flex", concurrency=1)
    for job_id in job_ids:
        client.wait(job_id, "completed")
    wait_until(lambda: len(upstream.calls("tier ")) == before + 3, 10, "three calls")
    assert [call.prompt for call in upstream.calls("tier ")[before:]] == ["tier priority", "tier auto", "tier flex"]
