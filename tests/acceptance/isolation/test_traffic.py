"""Ten thousand requests of eight keys through the same few connections: no reply holds anything of another key's."""

import os
import random
import time

import pytest
from sqlalchemy import text

from tests.acceptance.bad_inputs.site import Site
from tests.acceptance.isolation.tenants import Tenant, settle_in
from tests.acceptance.isolation.traffic import Findings, play

SEED = int(os.environ.get("SIMMER_TRAFFIC_SEED") or random.SystemRandom().randrange(10**9))
REQUESTS = int(os.environ.get("SIMMER_TRAFFIC_REQUESTS") or 10_000)
TENANTS = 8


def image(site: Site, tenants: list[Tenant]) -> dict[str, str]:
    """Every column of the jobs that must stay as they are."""
    ids = [job.id.removeprefix("resp_") for tenant in tenants for job in tenant.jobs]
    query = text("SELECT id::text, j::text FROM jobs AS j WHERE id = ANY(CAST(:ids AS uuid[]))")
    with site.container.database.transaction() as connection:
        return {row[0]: row[1] for row in connection.execute(query, {"ids": ids})}


@pytest.mark.timeout(600)
def test_no_reply_holds_anything_of_another_key(site: Site) -> None:
    made_up = random.Random(SEED)
    tenants = [settle_in(site, f"canary-{made_up.getrandbits(64):016x}") for _ in range(TENANTS)]
    before = image(site, tenants)
    start = time.monotonic()
    found = play(site.url, SEED, tenants, REQUESTS)
    took = time.monotonic() - start
    print(f"SIMMER_TRAFFIC_SEED={SEED}: {found.statuses.total()} requests in {took:.1f} s, {found.by_status}")
    assert found.faults[:20] == []
    assert {each: who for each, who in found.readers.items() if len(who) > 1} == {}
    assert len(found.refusals) == 1
    assert image(site, tenants) == before
    assert found.statuses.total() >= REQUESTS
    _was_thorough(found)


def _was_thorough(found: Findings) -> None:
    """Every kind of request was sent often, and what is the caller's own was shown to it."""
    least = REQUESTS // 1000
    for kind, status in [
        ("own reads", 200),
        ("own reads", 304),
        ("own streams", 200),
        ("own write", 200),
        ("others' ids", 404),
        ("mangled ids", 404),
        ("lists", 200),
        ("lists", 400),
        ("creates", 200),
        ("own idempotency keys", 200),
        ("others' idempotency keys", 200),
        ("own conversations", 200),
        ("others' conversations", 400),
        ("nobody's own", 200),
        ("wrong keys", 401),
    ]:
        assert found.count(kind, status) >= least, kind
