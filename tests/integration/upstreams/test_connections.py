"""Connections of an upstream to its server: shared, opened at once, and closed when nobody reads on."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from app.domain.ids import public_id
from app.domain.jobs import Completed
from app.domain.ports import Upstream
from tests.integration.upstreams.conftest import DEADLINE, JOB, KEY, Ask, Way, answered, failed, request, text
from tests.processes import wait_until
from tests.upstream.client import MockUpstream


def test_the_server_sees_its_key_and_the_jobs_id(either: Upstream, way: Way, upstream: MockUpstream, mark: str) -> None:
    answered(either, way, request(mark))
    (call,) = upstream.calls(mark)
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.headers["x-client-request-id"] == public_id(JOB)
    assert (call.model, call.stream) == ("real-name", way == "stream")


def test_calls_one_after_the_other_share_a_connection(either: Upstream, upstream: MockUpstream) -> None:
    def ask(prompt: str, timeout: float = DEADLINE) -> Completed:
        return answered(either, "complete", request(prompt), timeout)

    ask("first")
    before = upstream.stats().connections
    for number in range(5):
        ask(str(number))
        failed(ask, "[[status 500]]")
    # Fewer, if one of an earlier test's went away meanwhile.
    assert upstream.stats().connections <= before


def test_calls_at_once_do_not_wait_for_each_other(ask: Ask, upstream: MockUpstream, mark: str) -> None:
    crowd = 120  # more than the pool keeps alive, and more than httpx2 would open by default
    with ThreadPoolExecutor(crowd) as threads:
        answers = [threads.submit(ask, f"{mark} {number} [[gate {mark}]]") for number in range(crowd)]
        upstream.wait_in_flight(mark, crowd, DEADLINE)
        upstream.open_gate(mark)
        assert {text(answer.result(DEADLINE)) for answer in answers} == {f"echo: {mark} {n}" for n in range(crowd)}


def test_a_reader_that_leaves_closes_the_connection(either: Upstream, upstream: MockUpstream, mark: str) -> None:
    asked = request(f"{mark} [[tokens 1000 rate=20]]")
    with closing(either.stream(asked, model="m", job_id=JOB, timeout=DEADLINE)) as deltas:
        next(deltas)
        assert upstream.calls(mark)[0].ended is None
    assert upstream.wait_closed(mark, DEADLINE).ended_at


def test_a_stream_that_nobody_reads_is_not_asked_for(either: Upstream, upstream: MockUpstream, mark: str) -> None:
    either.stream(request(mark), model="m", job_id=JOB, timeout=DEADLINE).close()
    assert upstream.calls(mark) == []


def test_a_stream_that_was_read_leaves_no_connection_behind(
    either: Upstream, upstream: MockUpstream, mark: str
) -> None:
    before = upstream.stats().connections
    for number in range(5):
        answered(either, "stream", request(f"{mark} {number}"))
    wait_until(lambda: upstream.stats().connections <= before + 1, DEADLINE, "closed connections")
