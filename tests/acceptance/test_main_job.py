"""The main job: submit, work, poll to the result."""

import pytest

from tests.cluster import Client, Cluster
from tests.upstream.client import MockUpstream


def test_a_submitted_job_is_run_and_its_result_polled(shared: Client) -> None:
    job_id = shared.submit("Write a detailed article about AI")
    job = shared.wait(job_id, "completed")
    assert job["output"][0]["content"][0]["text"] == "echo: Write a detailed article about AI"
    assert job["usage"]["total_tokens"] == job["usage"]["input_tokens"] + job["usage"]["output_tokens"] > 0
    assert job["created_at"] <= job["started_at"] <= job["completed_at"] < job["expires_at"]
    assert job["attempts"] == 1


def test_a_job_shows_each_status_on_its_way(shared: Client, upstream: MockUpstream) -> None:
    job_id = shared.submit("on its way [[gate on-its-way]]")
    assert set(shared.wait(job_id, "in_progress")) >= {"id", "status", "created_at", "started_at"}
    upstream.open_gate("on-its-way")
    assert shared.wait(job_id, "completed")["status"] == "completed"


def test_a_deleted_result_is_gone(shared: Client) -> None:
    job_id = shared.submit("deleted")
    shared.wait(job_id, "completed")
    assert shared.request("DELETE", f"/v1/model/response/{job_id}").json["deleted"] is True
    assert shared.request("GET", f"/v1/model/response/{job_id}").status == 404


def test_results_are_purged_when_their_time_is_over(client: Client, cluster: Cluster) -> None:
    cluster.worker(SIMMER_RETENTION="1")
    system, _ = cluster.system()
    job_id = client.submit("purged soon")
    system.wait_log("purged deleted=1", 30)
    assert client.request("GET", f"/v1/model/response/{job_id}").status == 404


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_the_other_pools_run_jobs_too(client: Client, cluster: Cluster, pool: str) -> None:
    cluster.worker(pool=pool, concurrency=2)
    assert client.wait(client.submit(f"in {pool}"), "completed")["attempts"] == 1
