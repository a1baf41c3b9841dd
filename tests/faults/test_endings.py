"""How jobs end when the model server breaks off or refuses, and when their clients or the purge are cut short."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from app.domain.lifecycle import TERMINAL
from tests import rows
from tests.cluster import Client
from tests.event_stream import EventStream
from tests.faults.conftest import Loaded
from tests.faults.deployment import SYSTEM, Deployment
from tests.processes import wait_until

PATIENCE = 60.0
BACKOFF = 0.6
"""Seconds of the first pause, of which chance may take up to a half; each further one is twice as long."""
EXPIRED = 3_000
"""Of twice as many jobs. In batches of ten they give the test the time to strike."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One that purges in small steps."""
    folder = tmp_path_factory.mktemp("deployment")
    with Deployment(folder, SIMMER_PURGE_BATCH="10", SIMMER_RETRY_BACKOFF=f"{BACKOFF}") as made:
        yield made


def _stream(client: Client, words: str) -> EventStream:
    inputs = [{"role": "user", "texts": [{"text": words}]}]
    body = {"model": "gpt-4.1", "background": True, "stream": True, "inputs": inputs}
    return EventStream(client, "POST", "/v1/model/response", body)


def test_half_a_stream_is_no_answer(deployment: Deployment, loaded: Loaded) -> None:
    """Row 19. Guarded by the reader of the stream, for which an answer without its finish has broken off."""
    client = deployment.client()
    with loaded():
        for breakage in ("half-stream", "no-finish", "garbage-frame"):
            with _stream(client, f"breaks off by {breakage} [[tokens 6]] [[{breakage}]]") as stream:
                events = list(stream.events())
            assert "response.output_text.delta" in {event.name for event in events}
            assert events[-1].name == "response.failed"
            job = client.get(events[-1].data["response"]["id"])
            assert (job["status"], job["error"]["code"], job["output"]) == ("failed", "upstream_unavailable", [])
            # What readers have seen they can't unread: there is no second try.
            assert len(deployment.upstream.calls(f"breaks off by {breakage}")) == 1


def test_a_storm_of_server_errors(deployment: Deployment, loaded: Loaded) -> None:
    """Row 20. Guarded by the pauses, which double from try to try, and by the attempts, counted in the row."""
    client = deployment.client()
    with loaded():
        deployment.upstream.set_mode("[[status 503]]")
        jobs = {f"in a storm {number}.": client.submit(f"in a storm {number}.") for number in range(10)}
        for job_id in jobs.values():
            job = client.wait(job_id, "failed", timeout=PATIENCE)
            assert (job["error"]["code"], job["attempts"]) == ("upstream_unavailable", 4)
        deployment.upstream.clear_mode()
    for words in jobs:
        assert all(
            pause >= BACKOFF / 2 * 2**number for number, pause in enumerate(_pauses(deployment, words, calls=4))
        ), words


def test_a_model_server_that_asks_to_wait(deployment: Deployment, loaded: Loaded) -> None:
    """Row 20. Guarded by the execution service, which pauses for as long as `Retry-After` asks."""
    client = deployment.client()
    script = "[[fail-first 2 status=429 retry-after=1.5]]"
    with loaded():
        jobs = {f"asked to wait {number}.": client.submit(f"asked to wait {number}. {script}") for number in range(10)}
        for job_id in jobs.values():
            assert client.wait(job_id, timeout=PATIENCE)["status"] == "completed"
    for words in jobs:
        assert all(pause >= 1.5 for pause in _pauses(deployment, words, calls=3)), words


def _pauses(deployment: Deployment, words: str, *, calls: int) -> list[float]:
    """Seconds between the starts of a job's calls."""
    started = [call.started_at for call in deployment.upstream.calls(words)]
    assert len(started) == calls
    return [later - earlier for earlier, later in pairwise(started)]


def test_beat_and_the_purge_are_killed_in_the_middle(deployment: Deployment, loaded: Loaded) -> None:
    """Row 25. Guarded by the purge's batches, each a transaction of its own, which look at `expires_at` alone: whoever
    runs next, or beside it, takes what is left and nothing else.
    """
    owner = deployment.container.keys.create("purged", ["responses:read"])[0].id
    with loaded():
        with deployment.container.database.transaction() as connection:
            rows.fill(connection, [owner], 2 * EXPIRED, statuses=sorted(TERMINAL), expired_every=2)
        expired, kept = (
            f"api_key_id = '{owner}' AND expires_at <= now()",
            f"api_key_id = '{owner}' AND expires_at > now()",
        )
        before = _checksum(deployment, kept)
        wait_until(lambda: _count(deployment, expired) < EXPIRED, PATIENCE, "the purge is under way")
        deployment.nodes["beat1"].kill()
        deployment.nodes[SYSTEM].kill()
        assert _count(deployment, expired) > 0
        deployment.nodes[SYSTEM].heal()
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: deployment.container.maintenance.purge(), range(2)))
        wait_until(lambda: not _count(deployment, expired), PATIENCE, "nothing expired is left")
        assert _checksum(deployment, kept) == before


def _count(deployment: Deployment, which: str) -> int:
    with deployment.database() as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM jobs WHERE {which}").fetchone() or (0,)
    return int(count)


def _checksum(deployment: Deployment, which: str) -> str:
    """Of all that stands in the jobs for which an expression holds."""
    with deployment.database() as connection:
        query = f"SELECT md5(string_agg(j::text, ';' ORDER BY id)) FROM jobs AS j WHERE {which}"
        (md5,) = connection.execute(query).fetchone() or ("",)
    return str(md5)


def test_clients_drop_at_the_first_event(deployment: Deployment, loaded: Loaded) -> None:
    """Row 26. Guarded by `cancel_when_dropped`, which is set for synchronous streams alone."""
    client = deployment.client()
    with loaded():
        job_ids = []
        for number in range(5):
            # It goes on for longer than the API takes to notice that nobody reads.
            with _stream(client, f"left alone {number} [[tokens 60 rate=20]]") as stream:
                first = next(stream.events())
            assert (first.name, first.data["response"]["status"]) == ("response.created", "queued")
            job_ids.append(first.data["response"]["id"])
        for job_id in job_ids:
            assert client.wait(job_id, timeout=PATIENCE)["status"] == "completed"
