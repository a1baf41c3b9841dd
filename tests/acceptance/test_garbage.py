"""Every process that works on requests and jobs leaves what it has loaded out of garbage collections, which stop it."""

import re

from tests.cluster import Cluster
from tests.processes import Process, wait_until

LOADED = 100_000
"""Objects that the modules alone come to."""


def _left_out(process: Process, times: int = 1) -> list[int]:
    """Objects that the process, and its children, left out as often."""

    def told() -> list[int]:
        found = [int(number) for number in re.findall(r"leaves out what is loaded objects=(\d+)", process.output())]
        return found if len(found) >= times else []

    return wait_until(told, 30, f"{times} times in the log of {process}")


def test_api_and_workers_leave_it_out(cluster: Cluster) -> None:
    cluster.api(SIMMER_LOG_LEVEL="DEBUG")
    cluster.worker("gevent", SIMMER_LOG_LEVEL="DEBUG")
    cluster.worker("prefork", pool="prefork", concurrency=1, SIMMER_LOG_LEVEL="DEBUG")
    assert min(_left_out(cluster.started("api"))) > LOADED
    assert min(_left_out(cluster.started("gevent"))) > LOADED
    assert min(_left_out(cluster.started("prefork"), times=2)) > LOADED
