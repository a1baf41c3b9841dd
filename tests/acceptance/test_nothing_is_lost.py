"""A worker of the other pool, prefork, is killed; `tests/faults` has all other faults, on gevent workers."""

import signal

from tests.cluster import Client, Cluster
from tests.upstream.client import MockUpstream


def test_a_prefork_worker_that_is_killed_loses_no_job_either(
    client: Client, cluster: Cluster, upstream: MockUpstream
) -> None:
    """Row 4. Guarded by the lease, which runs out, and by the sweep, which queues the job again."""
    cluster.system()
    worker = cluster.worker("first", pool="prefork", concurrency=2)
    job_id = client.submit("killed prefork [[gate killed-prefork]]")
    upstream.wait_for_call("killed prefork", 20)
    worker.kill(signal.SIGKILL)
    worker.stop()
    cluster.worker("second", pool="prefork", concurrency=2)
    upstream.wait_for_call("killed prefork", 30, attempt=2)
    upstream.open_gate("killed-prefork")
    job = client.wait(job_id)
    assert (job["status"], job["attempts"]) == ("completed", 2)
