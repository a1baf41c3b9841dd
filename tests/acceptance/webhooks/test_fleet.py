"""Endpoints that fail, hang or are gone keep nobody else's events back; `benchmarks/webhooks.py` measures the same."""

from collections import Counter

import psycopg

from tests import webhook_fleet as fleet
from tests.acceptance.webhooks.site import PATIENCE, Site
from tests.cluster import Client
from tests.processes import wait_until
from tests.webhook_receiver import Answer

ROUNDS = 15
"""Jobs of each of the twenty keys."""


def test_the_dead_do_not_keep_the_healthy_waiting(site: Site) -> None:
    for path, options in fleet.answers().items():
        site.receiver.answer(Answer(**options), path=path)  # type: ignore[arg-type]
    database_url = site.cluster.env["SIMMER_DATABASE_URL"]
    members = fleet.enlist(site.url, database_url, site.receiver.url())

    for number in range(ROUNDS):
        for member in members:
            Client(site.url, member.key).submit(f"{member.path} {number}")

    with psycopg.connect(database_url, autocommit=True) as connection:
        wait_until(lambda: not fleet.unfinished(connection), PATIENCE, "all jobs have ended")
        wait_until(lambda: not fleet.undelivered(connection, members), PATIENCE, "the healthy have their events")
        found = fleet.judge(connection, members, list(site.receiver.requests))
        assert (found.missing, found.unsigned) == (0, 0)
        assert len(found.lags) == ROUNDS * fleet.KINDS.count(fleet.HEALTHY)
        # None of the dead got all of its events tried: eight at once at most, then the circuit is open.
        tried = Counter(request.path for request in list(site.receiver.requests))
        assert all(tried[member.path] < ROUNDS for member in members if member.kind != fleet.HEALTHY)
        wait_until(lambda: "gone" in fleet.disabled(connection, members).values(), PATIENCE, "the one that is gone")
        reasons = fleet.disabled(connection, members)
    assert {path for path, reason in reasons.items() if reason} == {
        member.path for member in members if member.kind == fleet.GONE
    }
