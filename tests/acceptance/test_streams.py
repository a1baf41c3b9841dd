"""Streams on real processes: all four ends, readers that leave, lose the broker, or go on at another API process."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pytest
import redis

from app.container import Container
from tests.acceptance.conftest import SCOPES
from tests.cluster import Client, Cluster
from tests.event_stream import DONE, Event, EventStream, read_all
from tests.processes import wait_until
from tests.upstream.client import MockUpstream

ANNOUNCED = ["response.created", "response.queued", "response.in_progress"]


def stream(client: Client, text: str, *, background: bool = True, model: str = "gpt-4.1") -> EventStream:
    body = {"model": model, "input": text, "stream": True, "background": background}
    return EventStream(client, "POST", "/v1/responses", body)


def until(events: Iterator[Event], name: str) -> Event:
    return next(event for event in events if event.name == name)


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize(
    ("text", "model", "end", "status"),
    [
        ("ends well", "gpt-4.1", "response.completed", "completed"),
        ("cut off [[finish length]]", "gpt-4.1", "response.incomplete", "incomplete"),
        ("breaks [[stream-error]]", "gpt-4.1", "response.failed", "failed"),
        ("takes too long [[tokens 500 rate=50]]", "quick", "response.failed", "failed"),
    ],
)
def test_every_end_closes_the_stream(
    shared: Client, background: bool, text: str, model: str, end: str, status: str
) -> None:
    with stream(shared, text, background=background, model=model) as reader:
        events = list(reader.events())
    assert [event.name for event in events[:3]] == ANNOUNCED
    assert [event.data["sequence_number"] for event in events] == list(range(len(events)))
    assert all(event.name == event.data["type"] for event in events)
    assert (events[-1].name, events[-1].data["response"]["status"]) == (end, status)
    assert reader.frames[-1] == DONE


def test_a_cancel_ends_the_stream_and_the_stream_stays_the_same(shared: Client, upstream: MockUpstream) -> None:
    with stream(shared, "cancelled stream [[tokens 2000 rate=100]]") as reader:
        events = reader.events()
        job_id = next(events).data["response"]["id"]
        until(events, "response.output_text.delta")
        assert shared.request("POST", f"/v1/responses/{job_id}/cancel").status == 200
        *_, last = events
    assert (last.name, last.data["response"]["status"]) == ("response.failed", "cancelled")
    upstream.wait_closed("cancelled stream", 10)
    assert read_all(shared, f"/v1/responses/{job_id}?stream=true") == reader.frames


def test_a_job_cancelled_in_the_queue_ends_its_stream(cluster: Cluster, client: Client) -> None:
    with stream(client, "nobody takes it") as reader:
        events = reader.events()
        job_id = next(events).data["response"]["id"]
        assert client.request("POST", f"/v1/responses/{job_id}/cancel").status == 200
        names = [event.name for event in events]
    assert names == ["response.queued", "response.failed"]


def test_a_background_job_outlives_a_reader_that_leaves_at_the_first_event(shared: Client) -> None:
    with stream(shared, "left alone [[sleep 0.5]] [[tokens 20 rate=50]]") as reader:
        job_id = next(reader.events()).data["response"]["id"]
    assert shared.wait(job_id)["status"] == "completed"
    whole = read_all(shared, f"/v1/responses/{job_id}?stream=true")
    for number in range(len(whole) - 1):
        rest = read_all(shared, f"/v1/responses/{job_id}?stream=true&starting_after={number}")
        assert rest == whole[number + 1 :]
    assert read_all(shared, f"/v1/responses/{job_id}?stream=true&starting_after=9999") == [DONE]


@pytest.mark.parametrize("text", ["leaves in the middle [[tokens 3000 rate=100]]", "leaves in silence [[hang]]"])
def test_a_synchronous_job_ends_with_its_reader(shared: Client, upstream: MockUpstream, text: str) -> None:
    with stream(shared, text, background=False) as reader:
        events = reader.events()
        job_id = until(events, "response.in_progress").data["response"]["id"]
        upstream.wait_for_call(text[:15], 20)
    assert shared.wait(job_id)["status"] == "cancelled"
    upstream.wait_closed(text[:15], 10)


def test_a_reader_that_does_not_read_slows_nobody(shared: Client) -> None:
    with stream(shared, "unread [[huge 3000000]]") as reader:
        job_id = next(reader.events()).data["response"]["id"]
        assert shared.wait(job_id)["status"] == "completed"


def test_comments_keep_a_silent_stream_awake(cluster: Cluster, key: str, upstream: MockUpstream) -> None:
    cluster.worker()
    client = Client(cluster.api(SIMMER_STREAM_KEEPALIVE="0.5"), key)
    with stream(client, "silent [[gate silent]]") as reader:
        events = reader.events()
        until(events, "response.in_progress")
        comment = reader.response.readline(), reader.response.readline()
        upstream.open_gate("silent")
        assert comment == (b": keep-alive\n", b"\n")
        *_, last = events
    assert last.name == "response.completed"


def test_a_stream_goes_on_at_another_process_after_the_broker_was_flushed(
    cluster: Cluster, key: str, broker_url: str, upstream: MockUpstream
) -> None:
    cluster.worker()
    cluster.system()
    one, other = Client(cluster.api(), key), Client(cluster.api(), key)
    with stream(one, "flushed [[tokens 20 rate=50]] [[gate flushed]]") as reader:
        events = reader.events()
        job_id = next(events).data["response"]["id"]
        upstream.wait_for_call("flushed", 20)
        redis.Redis.from_url(broker_url).flushdb()
        upstream.open_gate("flushed")
        until(events, "response.output_text.delta")
        redis.Redis.from_url(broker_url).flushdb()
        seen = len(reader.frames)
    live = read_all(other, f"/v1/responses/{job_id}?stream=true")
    assert live[:seen] == reader.frames
    assert live[-1] == DONE
    redis.Redis.from_url(broker_url).flushdb()
    assert read_all(one, f"/v1/responses/{job_id}?stream=true") == live
    assert read_all(other, f"/v1/responses/{job_id}?stream=true&starting_after={seen}") == live[seen + 1 :]


def test_a_streamed_job_is_not_run_again_when_its_worker_dies(
    cluster: Cluster, client: Client, upstream: MockUpstream
) -> None:
    cluster.system()
    worker = cluster.worker("first")
    with stream(client, "worker dies [[tokens 3000 rate=100]]") as reader:
        events = reader.events()
        job_id = next(events).data["response"]["id"]
        until(events, "response.output_text.delta")
        worker.kill()
        cluster.worker("second")
        *_, last = events
    assert (last.name, last.data["response"]["error"]["failure_code"]) == ("response.failed", "worker_lost")
    assert len(upstream.calls("worker dies")) == 1
    assert read_all(client, f"/v1/responses/{job_id}?stream=true") == reader.frames


def test_a_stream_that_has_said_nothing_yet_survives_its_worker(
    cluster: Cluster, client: Client, upstream: MockUpstream
) -> None:
    cluster.system()
    worker = cluster.worker("first")
    with stream(client, "dies before a word [[gate word]]") as reader:
        events = reader.events()
        until(events, "response.in_progress")
        upstream.wait_for_call("dies before a word", 20)
        worker.kill()
        cluster.worker("second")
        wait_until(lambda: len(upstream.calls("dies before a word")) == 2, 40, "called again")
        upstream.open_gate("word")
        names = [event.name for event in events]
    assert names[-1] == "response.completed"
    assert "response.in_progress" not in names


@pytest.mark.parametrize("pool", ["gevent", "prefork"])
def test_both_pools_stream(cluster: Cluster, client: Client, pool: str) -> None:
    cluster.worker(pool=pool, concurrency=2)
    with stream(client, "pool [[tokens 10 rate=50]]") as reader:
        events = list(reader.events())
    assert events[-1].data["response"]["output"][0]["content"][0]["text"] == " ".join(f"w{n}" for n in range(1, 11))
    text = "".join(event.data["delta"] for event in events if event.name == "response.output_text.delta")
    assert text == events[-1].data["response"]["output"][0]["content"][0]["text"]


SAYINGS = [
    "plain words",
    "[[reasoning first I think]] then I speak",
    "[[refusal I would rather not]]",
    '[[tool weather {"city": "Basel"}]]',
    "[[tokens 30]] [[finish length]]",
]


@pytest.mark.parametrize("text", SAYINGS)
def test_both_protocols_of_model_servers_make_one_stream(shared: Client, text: str) -> None:
    told = []
    for model in ("gpt-4.1", "responses-1"):
        with stream(shared, text, model=model) as reader:
            events = list(reader.events())
        told.append([{"type": event.name, **_said(event.data)} for event in _merged(events)])
    assert told[0] == told[1]
    assert len(told[0]) > len(ANNOUNCED) + 1


def test_hosted_tools_reach_servers_that_have_them(shared: Client) -> None:
    body = {"model": "responses-1", "input": "[[web-search]]", "stream": True, "tools": [{"type": "web_search"}]}
    with EventStream(shared, "POST", "/v1/responses", body) as reader:
        *_, last = reader.events()
    assert "web_search_call" in [item["type"] for item in last.data["response"]["output"]]
    refused = shared.request("POST", "/v1/responses", {**body, "model": "gpt-4.1"})
    assert (refused.status, refused.json["error"]["param"]) == (400, "tools[0].type")


def _merged(events: list[Event]) -> Iterator[Event]:
    """Each run of deltas as one: how an answer is cut into pieces is the server's affair, and the moment's."""
    for _, run in groupby(events, key=lambda event: event.name if event.name.endswith(".delta") else id(event)):
        first, *others = run
        deltas = "".join(event.data["delta"] for event in (first, *others)) if "delta" in first.data else ""
        yield first._replace(data={**first.data, **({"delta": deltas} if deltas else {})})


def _said(data: Any) -> Any:
    """What does not name the job."""
    shown = data.get("response", {})
    kept = {name: data[name] for name in ("delta", "text", "refusal", "arguments", "name") if name in data}
    return {**kept, "status": shown.get("status"), "kinds": [item["type"] for item in shown.get("output", [])]}


def test_both_dialects_read_one_stream(shared: Client, container: Container) -> None:
    body = {"model": "gpt-4.1", "inputs": [{"role": "user", "content": "two dialects"}], "stream": True}
    with EventStream(shared, "POST", "/v1/model/response", body) as reader:
        freddy = list(reader.events())
    job_id = freddy[0].data["response"]["id"]
    with EventStream(shared, "GET", f"/v1/responses/{job_id}?stream=true") as reader:
        openai = list(reader.events())
    assert [event.name for event in freddy] == [event.name for event in openai]
    assert freddy[3:-1] == openai[3:-1]
    assert freddy[-1].data["response"]["output"] == openai[-1].data["response"]["output"]


def test_a_stream_is_only_for_jobs_made_with_one(shared: Client) -> None:
    job_id = shared.submit("no stream")
    reply = shared.request("GET", f"/v1/responses/{job_id}?stream=true")
    assert (reply.status, reply.json["error"]["code"]) == (400, "not_a_stream")


def test_another_keys_stream_looks_like_none(shared: Client, cluster: Cluster, container: Container) -> None:
    api = cluster.api()
    own, other = (Client(api, container.keys.create(name, SCOPES)[1]) for name in ("own", "other"))
    with stream(own, "mine") as reader:
        job_id = next(reader.events()).data["response"]["id"]
    answers = [other.request("GET", f"/v1/responses/{given}?stream=true") for given in (job_id, "resp_" + "0" * 32)]
    assert answers[0].json == answers[1].json
    assert [answer.status for answer in answers] == [404, 404]
