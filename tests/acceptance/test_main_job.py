"""The main job: submit, work, poll to the result; and how it ends otherwise."""

from tests.cluster import Client, Cluster
from tests.upstream.client import MockUpstream


def test_a_submitted_job_is_run_and_its_result_polled(client: Client, cluster: Cluster) -> None:
    cluster.worker()
    job_id = client.submit("Write a detailed article about AI")
    job = client.wait(job_id, "completed")
    assert job["output"][0]["content"][0]["text"] == "echo: Write a detailed article about AI"
    assert job["usage"]["total_tokens"] == job["usage"]["input_tokens"] + job["usage"]["output_tokens"] > 0
    assert job["created_at"] <= job["started_at"] <= job["completed_at"] < job["expires_at"]
    assert job["attempts"] == 1


def test_a_cancel_closes_the_running_call_within_a_second(
    client: Client, cluster: Cluster, upstream: MockUpstream
) -> None:
    # Heartbeats are too rare to have done it.
    cluster.worker(SIMMER_HEARTBEAT_INTERVAL="20", SIMMER_LEASE="60")
    job_id = client.submit("cancel me [[hang]]")
    call = upstream.wait_for_call("cancel me", 20)
    assert client.cancel(job_id).json["status"] == "cancelled"
    closed = upstream.wait_closed("cancel me", 10)
    assert closed.sequence == call.sequence
    assert client.get(job_id)["status"] == "cancelled"
