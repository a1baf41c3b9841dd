"""The worker that delivers is killed, the broker forgets, two beats tick: every event arrives, under one id."""

import signal

import psycopg
import redis

from tests.acceptance.webhooks.site import PATIENCE, Endpoint, Site, event_of, told
from tests.cluster import Client
from tests.processes import wait_until
from tests.webhook_receiver import Answer

JOBS = 12
IN_PROGRESS = "SELECT count(*) FROM webhook_deliveries WHERE status = 'in_progress'"
MISSING = "SELECT count(*) FROM webhook_deliveries WHERE status <> 'delivered'"
LEASES_END = "UPDATE webhook_deliveries SET lease_expires_at = now() WHERE status = 'in_progress'"


def count(site: Site, statement: bytes) -> int:
    with psycopg.connect(site.cluster.env["SIMMER_DATABASE_URL"]) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def run_jobs(client: Client) -> list[str]:
    submitted = [client.submit(f"job {number}") for number in range(JOBS)]
    for job_id in submitted:
        assert client.wait(job_id)["status"] == "completed"
    return submitted


def check_all_arrived(site: Site, endpoint: Endpoint, submitted: list[str]) -> None:
    wait_until(lambda: count(site, MISSING.encode()) == 0, PATIENCE, "all are delivered")
    by_id = site.receiver.by_header("webhook-id")
    assert set(by_id) == {event_of(job_id) for job_id in submitted}
    for requests in by_id.values():
        assert len(set(told(requests, endpoint.secret))) == 1
        assert len({request.body for request in requests}) == 1


def test_a_worker_that_is_killed_in_the_middle_of_sending_loses_nothing(own_site: Site) -> None:
    site, cluster, client = own_site, own_site.cluster, own_site.client()
    site.receiver.answer(*[Answer(hang=True)] * 3, Answer())
    endpoint = site.endpoint(client, "/")
    cluster.worker()
    cluster.system()
    cluster.beat("beat2")
    worker = cluster.webhooks("first", SIMMER_WEBHOOK_TIMEOUT="30")
    submitted = run_jobs(client)
    wait_until(lambda: len(site.receiver.requests) >= 3, PATIENCE, "three hang")

    worker.kill(signal.SIGKILL)
    worker.stop()
    assert count(site, IN_PROGRESS.encode()) >= 3
    cluster.webhooks("second")
    site.sql(LEASES_END)

    check_all_arrived(site, endpoint, submitted)
    sent = site.receiver.by_header("webhook-id").values()
    assert sum(len(requests) > 1 for requests in sent) >= 3


def test_a_broker_that_has_forgotten_all_hints_loses_nothing(own_site: Site) -> None:
    site, cluster, client = own_site, own_site.cluster, own_site.client()
    endpoint = site.endpoint(client, "/")
    cluster.worker()
    submitted = run_jobs(client)
    # Nobody has taken the hints so far.
    broker = redis.Redis.from_url(cluster.env["SIMMER_BROKER_URL"])
    assert broker.llen("webhooks") >= 1
    broker.flushdb()
    assert count(site, MISSING.encode()) == JOBS

    cluster.webhooks()
    cluster.system()
    cluster.beat("beat2")

    check_all_arrived(site, endpoint, submitted)


def test_a_worker_that_is_asked_to_leave_hands_its_deliveries_back(own_site: Site) -> None:
    site, cluster, client = own_site, own_site.cluster, own_site.client()
    site.receiver.answer(Answer(hang=True), Answer())
    endpoint = site.endpoint(client, "/")
    cluster.worker()
    cluster.system()
    worker = cluster.webhooks("first", SIMMER_WEBHOOK_TIMEOUT="30")
    job_id = client.submit("one")
    wait_until(lambda: site.receiver.requests, PATIENCE, "it hangs")

    worker.stop(PATIENCE)
    cluster.webhooks("second")

    # No lease is waited for.
    check_all_arrived(site, endpoint, [job_id])
    made = site.delivery(client, endpoint, event_of(job_id))["attempts"]
    assert [one["error"] for one in made] == ["worker_stopped", None]
