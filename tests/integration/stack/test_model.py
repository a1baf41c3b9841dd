"""The embedded model on its real weights: it answers, ends, and stops when nobody listens any more."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from openai import OpenAI

from app.stack.http import call
from app.stack.model import MODEL_NAME, SLOTS, EmbeddedModel
from tests.integration.stack.specs import running
from tests.processes import free_port, wait_until

PROMPT = [{"role": "user", "content": "Write a detailed article about AI"}]


@pytest.fixture(scope="module")
def model() -> Iterator[EmbeddedModel]:
    model = EmbeddedModel(free_port())
    with running(model.process()) as process:
        listening = {c.laddr for c in process.net_connections("all") if c.status == psutil.CONN_LISTEN}
        assert ("127.0.0.1", model.port) in listening
        assert {address.ip for address in listening} == {"127.0.0.1"}
        yield model


def slots(model: EmbeddedModel) -> list[dict[str, Any]]:
    status, found = call(f"http://127.0.0.1:{model.port}/slots")
    assert status == 200
    return list(found)


def busy(model: EmbeddedModel) -> list[dict[str, Any]]:
    return [slot for slot in slots(model) if slot["is_processing"]]


@contextmanager
def generating(model: EmbeddedModel, **asked: Any) -> Iterator[list[dict[str, Any]]]:
    """A request that finds no end by itself: what works on it. Its connection is closed after the block, which must
    stop the model.
    """
    body = json.dumps({"messages": PROMPT, "ignore_eos": True, **asked})
    connection = http.client.HTTPConnection("127.0.0.1", model.port, timeout=30)
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    try:
        yield wait_until(lambda: busy(model), 30, "the model is at work")
    finally:
        connection.close()
    wait_until(lambda: not busy(model), 10, "the model has stopped")


def test_it_answers_like_openai(model: EmbeddedModel) -> None:
    body = {"model": MODEL_NAME, "messages": PROMPT, "max_tokens": 8}
    status, reply = call(f"{model.url}/chat/completions", body=body, timeout=60)
    assert status == 200
    assert reply["choices"][0]["message"]["content"]
    assert reply["usage"]["completion_tokens"] == 8
    assert reply["model"] == MODEL_NAME


@pytest.mark.parametrize(("asked", "cap"), [({}, 512), ({"max_tokens": 600}, 600)])
def test_output_is_capped_unless_the_request_says_otherwise(
    model: EmbeddedModel, asked: dict[str, int], cap: int
) -> None:
    with generating(model, **asked) as at_work:
        assert [slot["params"]["n_predict"] for slot in at_work] == [cap]


def test_it_streams(model: EmbeddedModel) -> None:
    client = OpenAI(base_url=model.url, api_key="none", max_retries=0, timeout=60)
    stream = client.chat.completions.create(
        model=MODEL_NAME, messages=[{"role": "user", "content": "Hello"}], max_tokens=8, stream=True
    )
    texts = [event.choices[0].delta.content for event in stream if event.choices]
    assert len([text for text in texts if text]) > 1


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"messages": 1}'])
def test_a_bad_request_is_refused_as_such(model: EmbeddedModel, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", model.port, timeout=30)
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    with connection.getresponse() as reply:
        assert reply.status >= 400
        assert json.loads(reply.read())["error"]["message"]
    connection.close()


def test_it_has_slots_of_their_own_context(model: EmbeddedModel) -> None:
    assert [slot["n_ctx"] for slot in slots(model)] == [2048] * SLOTS


@pytest.mark.parametrize("stream", [False, True])
def test_a_closed_connection_stops_the_generation(model: EmbeddedModel, stream: bool) -> None:
    with generating(model, max_tokens=100_000, stream=stream) as at_work:
        assert at_work


def test_no_other_origins_page_may_talk_to_it(model: EmbeddedModel) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", model.port, timeout=30)
    connection.request("GET", "/health", headers={"Origin": "http://example.org"})
    with connection.getresponse() as reply:
        assert reply.headers.get("Access-Control-Allow-Origin") in (None, "")
    connection.close()
