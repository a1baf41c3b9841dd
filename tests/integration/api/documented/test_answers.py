"""Real answers of every kind, and whole streams: the document must know all that is in them."""

import json
from typing import Any

import pytest

from app.container import Container
from app.domain.deltas import (
    AnnotationDelta,
    Break,
    Delta,
    EncryptedReasoning,
    Finish,
    HostedItem,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from app.domain.ids import public_id
from app.domain.jobs import Failed, Failure, Usage
from app.domain.requests import JobRequest, message
from tests.documented import Documented
from tests.integration.api.documented.conftest import TALK, URLS, Held, complete, settle, start

EVERYTHING: list[Delta] = [
    ReasoningDelta("Hm. "),
    ReasoningDelta("So.", part=1),
    EncryptedReasoning("gAAA"),
    TextDelta("Here", [{"token": "Here", "logprob": -0.1, "bytes": [72], "top_logprobs": []}]),
    AnnotationDelta({"type": "url_citation", "url": "https://example.com", "title": "", "start_index": 0}),
    Break(),
    RefusalDelta("No."),
    ToolCallDelta(0, "{}", "get_weather", "call_1"),
    HostedItem({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "AI"}}),
]
USAGE = Usage(12, 450, 462, cached_tokens=3, reasoning_tokens=200)
ENDINGS: dict[str, list[Delta]] = {
    "completed": [*EVERYTHING, Finish(USAGE)],
    "uncounted": [Finish()],
    "cut off": [*EVERYTHING, Finish(USAGE, "max_output_tokens")],
    "filtered": [TextDelta("H"), Finish(USAGE, "content_filter")],
}


@pytest.mark.parametrize("dialect", URLS)
def test_a_response_in_every_state(held: Held, container: Container, dialect: str) -> None:
    url = URLS[dialect]
    other = next(name for name in URLS if name != dialect)
    ids = [held.make(name, metadata={"k": "v"}) for name in URLS] + [held.make(other, reasoning={"effort": "low"})]
    start(container, ids[1])
    complete(container, ids[2], ENDINGS["completed"])
    for deltas in ENDINGS.values():
        ids.append(held.make(dialect))
        complete(container, ids[-1], deltas)
    for failure in Failure:
        ids.append(held.make(dialect))
        settle(container, start(container, ids[-1]), Failed(failure, "Try again."))
    ids.append(held.make(dialect))
    assert held.ask("POST", f"{url}/{ids[-1]}/cancel").json["status"] == "cancelled"
    for job_id in ids:
        tag = held.ask("GET", f"{url}/{job_id}").headers["ETag"]
        again = held.ask("GET", f"{url}/{job_id}", headers=held.headers | {"If-None-Match": tag})
        assert again.status_code == 304
    listed = held.ask("GET", f"{url}?limit=100").json["data"]
    assert {job["status"] for job in listed} >= {"queued", "in_progress", "completed", "failed", "cancelled"}


def test_create_with_all_its_parameters(held: Held) -> None:
    function = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
    first = held.make(
        "openai",
        instructions="i",
        temperature=0.5,
        top_p=0.5,
        presence_penalty=-1,
        frequency_penalty=1,
        top_logprobs=3,
        max_output_tokens=20,
        max_tool_calls=2,
        tools=[function],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_object"}, "verbosity": "low"},
        reasoning={"effort": "low", "summary": "auto"},
        truncation="auto",
        include=["reasoning.encrypted_content"],
        service_tier="flex",
        safety_identifier="s",
        prompt_cache_key="p",
        user="u",
        store=False,
    )
    for url in URLS.values():
        held.ask("GET", f"{url}/{first}")


def test_the_rest_of_the_routes(held: Held, container: Container) -> None:
    for dialect, url in URLS.items():
        assert held.ask("GET", url).json["data"] == [] or dialect == "freddy"
        first = held.make(dialect)
        complete(container, first, ENDINGS["completed"])
        second = held.make(dialect, previous_response_id=first)
        assert len(held.ask("GET", f"/v1/responses/{second}/input_items").json["data"]) > 3
        for job_id in (first, second, second):
            held.ask("DELETE", f"{url}/{job_id}")
    public = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/", "/ui/base.css")
    for path in ("/v1/models", "/v1/models/gpt-4.1", "/v1/models/a/b", *public):
        for method in ("GET", "HEAD"):
            assert held.ask(method, path).status_code == 200


def test_an_idempotency_key_sent_again(held: Held) -> None:
    body = {"model": "m", "background": True, **TALK["openai"]}
    headers = held.headers | {"Idempotency-Key": "k"}
    first, second = (held.ask("POST", URLS["openai"], json=body, headers=headers) for _ in range(2))
    assert first.json["id"] == second.json["id"]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert held.ask("POST", URLS["openai"], json=body | {"model": "n"}, headers=headers).status_code == 422


def event_schema(documented: Documented, dialect: str) -> Any:
    """What the document says of the events that a get may answer with."""
    operation = documented.operation("GET", f"{URLS[dialect]}/resp_1")
    frame = operation["responses"]["200"]["content"]["text/event-stream"]["schema"]
    return frame["properties"]["data"]["anyOf"][1]["contentSchema"]


@pytest.mark.parametrize("ending", ["completed", "uncounted", "cut off", "failed", "cancelled"])
@pytest.mark.parametrize("dialect", URLS)
def test_a_whole_stream(held: Held, container: Container, key: str, dialect: str, ending: str) -> None:
    asked = JobRequest("m", (message("user", "Hi"),), stream=True, reasoning={"effort": "low"})
    job = container.jobs.submit(container.keys.verify(key), asked).job
    job_id = public_id(job.id)
    if ending == "failed":
        settle(container, start(container, job_id), Failed(Failure.TIMEOUT, "Too slow."), [])
    elif ending == "cancelled":
        held.ask("POST", f"{URLS[dialect]}/{job_id}/cancel")
    else:
        complete(container, job_id, ENDINGS[ending])
    reply = held.ask("GET", f"{URLS[dialect]}/{job_id}?stream=true")
    frames = [frame.split("data: ")[1] for frame in reply.text.strip().split("\n\n")]
    assert frames.pop() == "[DONE]"
    events = [json.loads(frame) for frame in frames]
    schema = event_schema(held.documented, dialect)
    for event in events:
        held.documented.conforms(schema, event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert len(events) > {"completed": 25, "uncounted": 6}.get(ending, 2)


def test_an_event_that_is_not_documented_is_noticed(documented: Documented) -> None:
    schema = event_schema(documented, "openai")
    event = {"type": "response.refusal.delta", "sequence_number": 3, "item_id": "i", "output_index": 0, "delta": ""}
    documented.conforms(schema, event | {"content_index": 0})
    for wrong in (event, event | {"content_index": 0, "more": 1}, event | {"content_index": 0, "type": "response.new"}):
        with pytest.raises(AssertionError):
            documented.conforms(schema, wrong)
