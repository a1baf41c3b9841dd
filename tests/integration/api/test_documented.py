"""Real answers of every kind against the OpenAPI document, which must know all that is in them."""

import json
from typing import Any, cast

import pytest
from flask import Flask

from app.api.errors import _synchronous_error
from app.api.openapi.document import describe
from app.container import Container
from app.db import jobs as db
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
from app.domain.errors import SynchronousError
from app.domain.events import encode, pack
from app.domain.ids import new_id, parse_public_id, public_id
from app.domain.jobs import Claim, Failed, Failure, Outcome, Usage
from app.domain.output import Assembler
from app.domain.requests import JobRequest, message
from app.settings import Settings
from tests.documented import Documented
from tests.integration.api.conftest import Api, Reply

URLS = {"openai": "/v1/responses", "freddy": "/v1/model/response"}
TALK: dict[str, dict[str, Any]] = {
    "openai": {"input": "Write a detailed article about AI"},
    "freddy": {"inputs": [{"role": "user", "texts": [{"text": "Write a detailed article about AI"}]}]},
}
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


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"sync_timeout": 0.01})


@pytest.fixture
def documented(app: Flask) -> Documented:
    return Documented(describe(app))


class Held(Api):
    """Every answer is held against the document."""

    documented: Documented

    def ask(self, method: str, path: str = "", **options: Any) -> Reply:
        reply = super().ask(method, path, **options)
        is_json = reply.content_type == "application/json" and reply.data
        body = reply.json if is_json else reply.text
        self.documented.check(method, path.partition("?")[0], reply.status_code, dict(reply.headers), body)
        return reply

    def make(self, dialect: str, **more: Any) -> str:
        reply = self.ask("POST", URLS[dialect], json={"model": "gpt-4.1", "background": True, **TALK[dialect], **more})
        assert reply.status_code == 200, reply.text
        return cast("str", reply.json["id"])


@pytest.fixture
def held(app: Flask, key: str, documented: Documented) -> Held:
    made = Held(app, key)
    made.documented = documented
    return made


def start(container: Container, job_id: str) -> Claim:
    known = parse_public_id(job_id)
    assert known
    with container.database.transaction() as connection:
        claim = db.claim(connection, known, worker="w@h", lease=60)
    assert claim
    return claim


def settle(container: Container, claim: Claim, outcome: Outcome, events: list[Any] | None = None) -> None:
    log = pack(map(encode, events)) if events is not None else None
    with container.database.transaction() as connection:
        assert db.settle(connection, claim, outcome, retention=86_400, events=log)


def complete(container: Container, job_id: str, deltas: list[Delta]) -> None:
    claim = start(container, job_id)
    assembler = Assembler(claim.job_id)
    events = [event for delta in deltas for event in assembler.feed(delta)]
    assert assembler.completed
    settle(container, claim, assembler.completed, events)


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
    for path in ("/v1/models", "/v1/models/gpt-4.1", "/v1/models/a/b", "/healthz", "/readyz", "/openapi.json", "/docs"):
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


@pytest.mark.parametrize("dialect", URLS)
def test_how_a_synchronous_response_fails(app: Flask, held: Held, dialect: str) -> None:
    asked = {"model": "m", **TALK[dialect]}
    late = held.ask("POST", URLS[dialect], json=asked)
    assert (late.status_code, late.json["error"]["code"]) == (504, "response_not_finished")
    for failure in Failure:
        with app.test_request_context():
            error = _synchronous_error(SynchronousError("Try again.", code=failure, job_id=public_id(new_id())))
        headers = {**error.headers, "X-Request-Id": "req_1"}
        held.documented.check("POST", URLS[dialect], error.status_code, headers, error.json)


# Path and body of a create, or path of a get, each refused with another code.
JSON_TYPE = {"Content-Type": "application/json"}
REFUSED: dict[str, dict[str, Any]] = {
    "unsupported_media_type": {"data": b"{}"},
    "request_too_large": {"data": b" " * 20_000_000, "content_type": "application/json"},
    "invalid_encoding": {"data": b'"\xff"', "content_type": "application/json"},
    "invalid_json": {"data": b"{", "content_type": "application/json"},
    "json_too_deep": {"data": b"[" * 9_000, "content_type": "application/json"},
    "duplicate_key": {"data": b'{"a": 1, "a": 2}', "content_type": "application/json"},
    "invalid_number": {"data": b'{"a": 1e999}', "content_type": "application/json"},
    "invalid_unicode": {"json": {"model": "\0"}},
    "missing_required_parameter": {"json": {}},
    "unknown_parameter": {"json": {"model": "m", "x": 1}},
    "invalid_type": {"json": {"model": 1}},
    "out_of_range": {"json": {"temperature": 3}},
    "string_too_long": {"json": {"metadata": {"k": "v" * 600}}},
    "too_many_properties": {"json": {"metadata": dict.fromkeys("abcdefghijklmnopq", "")}},
    "unsupported_parameter": {"json": {"tools": [{"type": "web_search"}]}},
    "previous_response_not_found": {"json": {"previous_response_id": public_id(new_id())}},
    "invalid_idempotency_key": {"json": {}, "headers": {"Idempotency-Key": "k" * 300}},
}


@pytest.mark.parametrize("dialect", URLS)
@pytest.mark.parametrize("code", REFUSED)
def test_what_is_wrong_with_a_create(held: Held, dialect: str, code: str) -> None:
    options = dict(REFUSED[code])
    if "json" in options and code != "missing_required_parameter":
        options["json"] = {"model": "gpt-4.1", "background": True, **TALK[dialect], **options["json"]}
    headers = held.headers | options.pop("headers", {})
    assert held.ask("POST", URLS[dialect], headers=headers, **options).json["error"]["code"] == code


@pytest.mark.parametrize("dialect", URLS)
def test_what_is_wrong_with_all_else(app: Flask, held: Held, container: Container, dialect: str) -> None:
    url, job_id = URLS[dialect], held.make(dialect)
    unknown = public_id(new_id())
    asked = {
        ("GET", f"{url}/{unknown}"): "not_found",
        ("DELETE", f"{url}/{unknown}"): "not_found",
        ("POST", f"{url}/{unknown}/cancel"): "not_found",
        ("GET", f"{url}/{job_id}?stream=true"): "not_a_stream",
        ("GET", f"{url}/{job_id}?wait=99"): "out_of_range",
        ("GET", f"{url}/{job_id}?x=1"): "unknown_parameter",
        ("POST", f"{url}/{job_id}/cancel?x=1"): "unknown_parameter",
        ("GET", f"{url}?limit=x"): "invalid_type",
        ("GET", f"{url}?limit=1&limit=1"): "invalid_value",
        ("GET", f"{url}?after={unknown}"): "invalid_request",
        ("GET", f"{url}?model=%00"): "invalid_unicode",
        ("GET", f"{url}?model=%ff"): "invalid_encoding",
        ("PUT", url): "method_not_allowed",
        ("GET", "/v1/nothing"): "unknown_url",
    }
    for (method, path), code in asked.items():
        assert held.ask(method, path).json["error"]["code"] == code, path
    complete(container, job_id, ENDINGS["uncounted"])
    assert held.ask("POST", f"{url}/{job_id}/cancel").json["error"]["code"] == "illegal_move"
    for headers, code in (({}, "invalid_api_key"), (held.headers | {"X-API-Key": "a, b"}, "duplicate_header")):
        assert held.ask("GET", url, headers=headers).json["error"]["code"] == code
    reader = Held(app, container.keys.create("reader", ["responses:read"])[1])
    reader.documented = held.documented
    assert reader.ask("POST", url, json={}).json["error"]["code"] == "insufficient_scope"
