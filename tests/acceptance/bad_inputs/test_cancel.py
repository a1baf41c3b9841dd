"""Cancels that come twice, too late, and at the very moment in which the job completes: one end, told once."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect, both
from tests.acceptance.bad_inputs.raw import Reply, ask
from tests.acceptance.bad_inputs.raw import request as raw_request
from tests.acceptance.bad_inputs.site import JSON_TYPE, Site
from tests.cluster import Client
from tests.processes import wait_until
from tests.upstream.client import MockUpstream

IRE = "invalid_request_error"
PATIENCE = 60.0
RACES, AT_ONCE = 300, 30


@both
@pytest.mark.parametrize("by", [FREDDY, OPENAI], ids=lambda by: f"by {by.name}")
def test_cancel_twice(site: Site, dialect: Dialect, by: Dialect) -> None:
    for job_id in (site.create(dialect), site.create_stream(dialect)):
        first = site.ask("POST", f"{by.path}/{job_id}/cancel")
        assert (first.status, first.json["status"]) == (200, "cancelled")
        before = site.stored()
        again = site.ask("POST", f"{by.path}/{job_id}/cancel")
        assert (again.status, again.body) == (200, first.body)
        assert site.stored() == before


@both
def test_cancel_what_is_completed(site: Site, dialect: Dialect) -> None:
    job_id = site.create(dialect)
    site.complete(job_id)
    before = site.stored()
    for by in (FREDDY, OPENAI):
        reply = site.ask("POST", f"{by.path}/{job_id}/cancel")
        assert reply.error == (400, IRE, "illegal_move", None)
        assert reply.json["error"]["message"] == "Cannot cancel a completed response."
    assert site.stored() == before


@both
def test_cancel_racing_completion(shared: Client, upstream: MockUpstream, dialect: Dialect) -> None:
    """Row 23, through HTTP: its readers see one end, told once. Guarded as the ten thousand races in
    `tests/integration/services/test_cancel_races.py`.
    """
    with ThreadPoolExecutor(2 * AT_ONCE) as pool:
        for _ in range(RACES // AT_ONCE // 2):
            _race(shared, upstream, dialect, pool)


def _race(shared: Client, upstream: MockUpstream, dialect: Dialect, pool: ThreadPoolExecutor) -> None:
    """Jobs that all wait at one gate, which opens while they are being cancelled."""
    gate = uuid4().hex
    names = [f"{gate} {number}" for number in range(AT_ONCE)]
    streams = [pool.submit(_stream, shared, dialect, name, gate) for name in names]
    wait_until(lambda: len(upstream.calls(gate)) == AT_ONCE, PATIENCE, "all jobs at the gate")
    ids = {job["metadata"]["name"]: job["id"] for job in shared.all(**{"metadata[gate]": gate})}
    first, *others = names
    # Of the first and the last it is known how they end.
    cancels = {first: _cancel(shared, dialect, ids[first])}
    *racing, last = others
    cancelling: dict[str, Future[Reply]] = {}
    for number, name in enumerate(racing):
        if number == len(racing) // 3:
            pool.submit(upstream.open_gate, gate)
        cancelling[name] = pool.submit(_cancel, shared, dialect, ids[name])
    shared.wait(ids[last], "completed", timeout=PATIENCE)
    cancels[last] = _cancel(shared, dialect, ids[last])
    cancels |= {name: reply.result(PATIENCE) for name, reply in cancelling.items()}
    assert (cancels[first].status, cancels[last].status) == (200, 400)
    for name, stream in zip(names, streams, strict=True):
        _one_end(shared, dialect, ids[name], stream.result(PATIENCE), cancels[name])


def _stream(shared: Client, dialect: Dialect, name: str, gate: str) -> Reply:
    """Create a job with a stream, and read it to its end."""
    body = dialect.body(f"{name} [[gate {gate}]]", stream=True, metadata={"name": name, "gate": gate})
    return _ask(shared, "POST", dialect.path, body)


def _cancel(shared: Client, dialect: Dialect, job_id: str) -> Reply:
    return _ask(shared, "POST", f"{dialect.path}/{job_id}/cancel")


def _ask(shared: Client, method: str, target: str, body: object = None) -> Reply:
    data = None if body is None else json.dumps(body).encode()
    return ask(shared.url, raw_request(method, target, [("X-API-Key", shared.key), JSON_TYPE], data))


def _one_end(shared: Client, dialect: Dialect, job_id: str, live: Reply, cancel: Reply) -> None:
    """Whoever asks, and however: the job has the one end that its cancel was told."""
    status = {200: "cancelled", 400: "completed"}[cancel.status]
    if cancel.status == 400:
        assert cancel.json["error"]["message"] == "Cannot cancel a completed response."
    assert _ask(shared, "GET", f"{dialect.path}/{job_id}").json["status"] == status
    events = _events(live)
    ends = [event for event in events if event["type"] in {"response.completed", "response.failed"}]
    assert ends == events[-1:]
    assert ends[0]["response"]["status"] == status
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert _events(_ask(shared, "GET", f"{dialect.path}/{job_id}?stream=true")) == events


def _events(stream: Reply) -> list[Any]:
    assert stream.status == 200
    *frames, done, rest = stream.body.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    return [json.loads(frame.split(b"data: ", 1)[1]) for frame in frames if not frame.startswith(b":")]
