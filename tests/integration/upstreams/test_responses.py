"""What the responses upstream asks of a real server, and what is peculiar to answers of the Responses API."""

from typing import Any

import pytest

from app.domain.jobs import Failure
from app.domain.requests import JSON, JobRequest, message
from app.settings import Settings
from app.upstreams.catalog import Catalog
from app.upstreams.registry import UpstreamRegistry
from app.upstreams.responses import ResponsesUpstream
from tests.integration.upstreams.conftest import Ask, answered, failed, request
from tests.upstream.client import MockUpstream

ALWAYS = {"store": False, "background": False}
TOOLS = ({"type": "function", "name": "f", "parameters": {}}, {"type": "web_search", "search_context_size": "low"})
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
FILE = {"type": "input_file", "file_id": "file_1"}


@pytest.fixture
def either(responses: ResponsesUpstream) -> ResponsesUpstream:
    """Here, `ask` asks this one alone."""
    return responses


def sent(responses: ResponsesUpstream, upstream: MockUpstream, mark: str, **parameters: Any) -> JSON:
    """The body of a request beside its input and model."""
    answered(responses, "complete", request(mark, **parameters))
    (body,) = upstream.bodies(mark)
    assert body.pop("input") == [message("user", mark)]
    assert body.pop("model") == "real-name"
    return body


def test_only_what_was_asked_for_is_sent(responses: ResponsesUpstream, upstream: MockUpstream, mark: str) -> None:
    assert sent(responses, upstream, mark) == ALWAYS


def test_what_is_ours_is_not_sent(responses: ResponsesUpstream, upstream: MockUpstream, mark: str) -> None:
    ours = {"metadata": {"k": "v"}, "service_tier": "flex", "previous_response_id": "resp_1", "store": True}
    assert sent(responses, upstream, mark, **ours, background=True, stream=True) == ALWAYS


def test_all_else_is_sent_as_it_was_given(responses: ResponsesUpstream, upstream: MockUpstream, mark: str) -> None:
    given: JSON = {
        "instructions": "Be brief.",
        "temperature": 0,
        "top_p": 0.5,
        "presence_penalty": 0,
        "frequency_penalty": 1,
        "top_logprobs": 0,
        "max_output_tokens": 7,
        "max_tool_calls": 1,
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "truncation": "auto",
        "safety_identifier": "s",
        "prompt_cache_key": "p",
        "user": "u",
    }
    lists = {"tools": TOOLS, "include": ("reasoning.encrypted_content",)}
    body = sent(responses, upstream, mark, **given, **lists)
    assert body == {**ALWAYS, **given, **{name: list(value) for name, value in lists.items()}}


def test_a_stream_is_asked_for(responses: ResponsesUpstream, upstream: MockUpstream, mark: str) -> None:
    answered(responses, "stream", request(mark))
    (body,) = upstream.bodies(mark)
    assert body["stream"] is True


def test_items_are_sent_as_they_are_but_reasoning_only_if_it_is_sealed(
    responses: ResponsesUpstream, upstream: MockUpstream, mark: str
) -> None:
    summary = [{"type": "summary_text", "text": "hm"}]
    thought = {"type": "reasoning", "id": "rs_1", "status": "completed", "summary": summary}
    parts = [{"type": "input_text", "text": mark}, IMAGE, FILE]
    kept = (
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
        {"type": "message", "role": "user", "content": parts},
    )
    items = (thought, {**thought, "encrypted_content": "sealed"}, *kept)
    answered(responses, "complete", JobRequest(model="m", context=items[:2], inputs=items[2:]))
    (body,) = upstream.bodies(mark)
    sealed = {"type": "reasoning", "summary": summary, "encrypted_content": "sealed"}
    assert body["input"] == [sealed, *kept]


def test_a_models_entry_chooses_the_protocol(upstream: MockUpstream, settings: Settings, mark: str) -> None:
    server = {"base_url": upstream.base_url, "protocol": "responses"}
    catalog = Catalog.model_validate({"upstreams": {"u": server}, "models": {"*": {"upstream": "u"}}})
    chosen = UpstreamRegistry(catalog, settings).route("m").upstream
    assert isinstance(chosen, ResponsesUpstream)
    assert sent(chosen, upstream, mark) == ALWAYS


def test_sealed_reasoning_is_kept_when_it_is_asked_for(ask: Ask) -> None:
    prompt = "[[reasoning hm]] [[text so]]"
    (plain, _), (sealed, _) = ask(prompt).output, ask(prompt, include=("reasoning.encrypted_content",)).output
    assert "encrypted_content" not in plain
    assert sealed == {**plain, "encrypted_content": sealed["encrypted_content"]}
    assert sealed["encrypted_content"].startswith("sealed-")


def test_parts_of_reasoning_stay_apart(ask: Ask) -> None:
    (thought, _) = ask("[[reasoning one]] [[reasoning two]] [[text so]]").output
    assert [part["text"] for part in thought["summary"]] == ["one", "two"]


def test_a_hosted_tool_shows_its_item_and_its_citations(ask: Ask) -> None:
    search, said = ask("[[web-search]] [[text cited]]").output
    assert (search["type"], search["status"], search["action"]["type"]) == ("web_search_call", "completed", "search")
    (citation,) = said["content"][0]["annotations"]
    assert (citation["type"], citation["start_index"], citation["end_index"]) == ("url_citation", 0, 5)


@pytest.mark.parametrize(
    "answer",
    [
        '{"status": "completed"}',
        '{"status": "in_progress", "output": []}',
        '{"status": {"a": 1}, "output": []}',
        '{"output": [{}]}',
        '{"output": [{"type": "function_call", "arguments": "{}"}]}',
    ],
)
@pytest.mark.parametrize("way", ["complete"])
def test_an_answer_in_another_form_is_invalid(ask: Ask, answer: str) -> None:
    assert failed(ask, f"[[json {answer}]]").failure is Failure.UPSTREAM_INVALID_RESPONSE


@pytest.mark.parametrize("way", ["complete"])
def test_odd_extras_of_an_answer_do_no_harm(ask: Ask) -> None:
    part = '{"type": "output_text", "text": "x", "annotations": null, "logprobs": "none"}'
    items = f'[{{"type": "message", "content": [{part}, {{"type": "odd"}}, 3]}}, {{"type": "reasoning"}}, 3]'
    answer = ask(f'[[json {{"output": {items}, "usage": {{"input_tokens": "3"}}}}]]')
    (said,) = answer.output
    assert (said["content"][0]["text"], said["status"], answer.usage) == ("x", "completed", None)


@pytest.mark.parametrize("way", ["complete"])
@pytest.mark.parametrize("details", ["null", "{}", '{"reason": "odd"}'])
def test_a_cut_for_another_reason_counts_as_one_of_length(ask: Ask, details: str) -> None:
    answer = ask(f'[[json {{"status": "incomplete", "output": [], "incomplete_details": {details}}}]]')
    assert answer.incomplete_reason == "max_output_tokens"
