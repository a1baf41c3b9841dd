"""How a job ends other than well: limits, cancels, an administrator's revoke, a failing upstream."""

import pytest

from app.container import Container
from app.db import endings
from app.db import jobs as db
from app.domain.ids import parse_public_id
from tests.acceptance.flower import Flower
from tests.cluster import Client, Cluster
from tests.upstream.client import MockUpstream


@pytest.mark.parametrize("pool", ["gevent", "prefork"])
def test_the_soft_limit_ends_a_job_as_timed_out(
    client: Client, cluster: Cluster, upstream: MockUpstream, pool: str
) -> None:
    """Row 18. Guarded by the soft limit: the pool interrupts the task, which settles the job."""
    cluster.worker(pool=pool, concurrency=2)
    job_id = client.submit(f"soft limit {pool} [[hang]]", model="quick")
    job = client.wait(job_id, "failed")
    assert job["error"]["code"] == "timeout"
    assert job["attempts"] == 1
    upstream.wait_closed(f"soft limit {pool}", 10)


@pytest.mark.parametrize("pool", ["gevent", "prefork"])
def test_the_hard_limit_ends_a_job_that_swallows_the_soft_one(
    client: Client, cluster: Cluster, upstream: MockUpstream, pool: str
) -> None:
    """Row 18. Guarded by the hard limit, and by the sweep, which ends jobs that are past it."""
    cluster.system()
    cluster.worker(pool=pool, concurrency=2, app="tests.acceptance.stubborn_app")
    job_id = client.submit(f"hard limit {pool} [[hang]]", model="quick")
    job = client.wait(job_id, "failed", timeout=40)
    assert job["error"]["code"] == "timeout"
    assert "Hard time limit" in cluster.logs()
    assert "soft limit swallowed" in cluster.logs()
    upstream.wait_closed(f"hard limit {pool}", 10)


@pytest.mark.parametrize("pool", ["gevent", "prefork"])
def test_a_cancel_reaches_the_worker_through_the_broker(
    client: Client, cluster: Cluster, upstream: MockUpstream, pool: str
) -> None:
    # Heartbeats are too rare to have done it.
    cluster.worker(pool=pool, concurrency=2, SIMMER_HEARTBEAT_INTERVAL="60", SIMMER_LEASE="600")
    job_id = client.submit(f"cancel {pool} [[hang]]")
    upstream.wait_for_call(f"cancel {pool}", 20)
    assert client.cancel(job_id).json["status"] == "cancelled"
    upstream.wait_closed(f"cancel {pool}", 10)
    assert client.get(job_id)["status"] == "cancelled"


@pytest.mark.parametrize("pool", ["gevent", "prefork"])
def test_a_cancel_reaches_the_worker_through_its_heartbeat(
    client: Client, cluster: Cluster, upstream: MockUpstream, pool: str, container: Container
) -> None:
    cluster.worker(pool=pool, concurrency=2)
    job_id = client.submit(f"cancel silently {pool} [[hang]]")
    upstream.wait_for_call(f"cancel silently {pool}", 20)
    _cancel_in_database_alone(container, job_id)
    upstream.wait_closed(f"cancel silently {pool}", 15)
    assert client.get(job_id)["status"] == "cancelled"


def _cancel_in_database_alone(container: Container, job_id: str) -> None:
    with container.database.transaction() as connection:
        assert endings.cancel(connection, db.jobs.id == parse_public_id(job_id), retention=60)


def test_a_queued_job_that_was_cancelled_never_runs(client: Client, cluster: Cluster, upstream: MockUpstream) -> None:
    cancelled, other = client.submit("cancelled before"), client.submit("comes after")
    assert client.cancel(cancelled).json["status"] == "cancelled"
    cluster.worker()
    client.wait(other, "completed")
    assert client.get(cancelled)["status"] == "cancelled"
    assert not upstream.calls("cancelled before")


@pytest.mark.parametrize("pool", ["gevent", "prefork"])
def test_a_terminate_in_flower_cancels_the_row_and_flower_shows_it_as_revoked(
    client: Client, cluster: Cluster, upstream: MockUpstream, pool: str
) -> None:
    """Row 27. Guarded by the worker's handling of a revoke, which cancels the row as well."""
    cluster.worker(pool=pool, concurrency=2)
    flower = Flower.start(cluster)
    job_id = client.submit(f"terminated {pool} [[hang]]")
    upstream.wait_for_call(f"terminated {pool}", 20)
    flower.wait_state(job_id, "STARTED")
    flower.ask(f"/api/task/revoke/{job_id}?terminate=true", method="POST")
    assert client.wait(job_id, "cancelled")["cancelled_at"]
    upstream.wait_closed(f"terminated {pool}", 10)
    flower.wait_state(job_id, "REVOKED")
    # A later event would turn it into SUCCESS: let another job pass through, then look again.
    client.wait(client.submit("passes through"), "completed")
    assert flower.task(job_id)["state"] == "REVOKED"


@pytest.mark.parametrize(
    ("directive", "code"),
    [
        ("[[status 500]]", "upstream_unavailable"),
        ("[[status 401]]", "upstream_error"),
        ("[[status 429]]", "upstream_rate_limited"),
        ("[[reset]]", "upstream_unavailable"),
        ("[[half]]", "upstream_unavailable"),
        ("[[garbage]]", "upstream_invalid_response"),
        ("[[empty-choices]]", "upstream_invalid_response"),
        ("[[error code=context_length_exceeded]]", "context_length_exceeded"),
        ("[[error code=invalid_prompt]]", "invalid_prompt"),
    ],
)
def test_a_failing_upstream_gives_a_typed_error(shared: Client, directive: str, code: str) -> None:
    """Row 19. Guarded by the classification of failures: what broke off, or is no answer, ends the try."""
    job = shared.wait(shared.submit(f"fails {directive}", model="once"), "failed")
    assert job["error"]["code"] == code
    assert job["output"] == []


def test_a_passing_failure_is_retried_and_counted(shared: Client, upstream: MockUpstream) -> None:
    job = shared.wait(shared.submit("recovers [[fail-first 2 status=503]]"), "completed")
    assert job["attempts"] == 3
    assert [call.status for call in upstream.calls("recovers")] == [503, 503, 200]


def test_a_storm_of_failures_ends_at_max_attempts(shared: Client, upstream: MockUpstream) -> None:
    """Row 20. Guarded by the attempts, which are counted in the row before each try."""
    job = shared.wait(shared.submit("storm [[status 503]]"), "failed")
    assert (job["error"]["code"], job["attempts"]) == ("upstream_unavailable", 4)
    assert len(upstream.calls("storm")) == 4


def test_an_answer_with_nul_and_one_cut_off_are_kept_as_they_came(shared: Client) -> None:
    nul = shared.wait(shared.submit("odd [[nul-char]]"), "completed")
    assert "\0" in nul["output"][0]["content"][0]["text"]
    cut = shared.wait(shared.submit("cut [[finish length]]"), "completed")
    assert cut["incomplete_details"] == {"reason": "max_output_tokens"}
