"""The official SDK creates responses: while it waits, and in the background."""

from uuid import uuid4

import pytest
from openai import (
    APIStatusError,
    BadRequestError,
    InternalServerError,
    OpenAI,
    RateLimitError,
    UnprocessableEntityError,
)

from tests.acceptance.sdk.answers import MODEL, PIXEL, until_ended
from tests.upstream.client import MockUpstream

WAIT = {"wait": 30}


def test_the_answer_comes_with_the_call(openai: OpenAI) -> None:
    response = openai.responses.create(model=MODEL, input="hello there")
    assert (response.status, response.output_text, response.background) == ("completed", "echo: hello there", False)
    assert response.usage
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (2, 3, 5)
    assert response == openai.responses.retrieve(response.id)


def test_a_background_response_is_polled(openai: OpenAI) -> None:
    created = openai.responses.create(model=MODEL, input="later", background=True)
    assert (created.status, created.background, created.output) == ("queued", True, [])
    ended = until_ended(openai, created.id)
    assert (ended.id, ended.status, ended.output_text) == (created.id, "completed", "echo: later")


def test_waiting_replaces_polling(openai: OpenAI) -> None:
    at_once = openai.responses.create(model=MODEL, input="[[sleep 0.2]] one", background=True, extra_query=WAIT)
    assert at_once.output_text == "echo: one"
    created = openai.responses.create(model=MODEL, input="[[sleep 0.2]] two", background=True)
    assert openai.responses.retrieve(created.id, extra_query=WAIT).output_text == "echo: two"
    preferred = openai.responses.create(
        model=MODEL, input="[[sleep 0.2]] three", background=True, extra_headers={"Prefer": "wait=30"}
    )
    assert preferred.output_text == "echo: three"


def test_what_was_asked_stands_in_the_response(openai: OpenAI) -> None:
    response = openai.responses.create(
        model=MODEL,
        input=[{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
        instructions="Be brief.",
        max_output_tokens=100,
        metadata={"team": "docs"},
        reasoning={"effort": "low"},
        service_tier="priority",
        temperature=0.5,
        top_p=0.9,
        truncation="auto",
        store=False,
    )
    assert (response.instructions, response.max_output_tokens) == ("Be brief.", 100)
    assert (response.temperature, response.top_p, response.truncation) == (0.5, 0.9, "auto")
    assert (response.metadata, response.service_tier) == ({"team": "docs"}, "priority")
    assert response.reasoning
    assert response.reasoning.effort == "low"
    assert response.to_dict()["store"] is False


def test_what_was_asked_reaches_the_model(openai: OpenAI, upstream: MockUpstream) -> None:
    mark = uuid4().hex
    openai.responses.create(
        model=MODEL,
        instructions="Be brief.",
        max_output_tokens=100,
        temperature=0.5,
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": mark},
                    {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                ],
            }
        ],
    )
    (sent,) = upstream.bodies(mark)
    system, user = sent["messages"]
    assert system["content"] == "Be brief."
    text, image = user["content"]
    assert text["text"] == mark
    assert image["image_url"] == {"url": PIXEL, "detail": "low"}
    assert sent["temperature"] == 0.5
    assert 100 in {sent.get("max_tokens"), sent.get("max_completion_tokens")}


def test_reasoning_comes_as_an_item(openai: OpenAI) -> None:
    response = openai.responses.create(model=MODEL, input="[[reasoning First this. Then that.]] so")
    reasoning, _ = response.output
    assert reasoning.type == "reasoning"
    assert reasoning.summary[0].text == "First this. Then that."
    assert response.usage
    assert response.usage.output_tokens_details.reasoning_tokens > 0


def test_a_refusal_is_no_text(openai: OpenAI) -> None:
    response = openai.responses.create(model=MODEL, input="[[refusal I will not.]]")
    (message,) = response.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "refusal"
    assert part.refusal == "I will not."
    assert response.output_text == ""


@pytest.mark.parametrize("background", [False, True])
def test_a_cut_off_answer_is_incomplete(openai: OpenAI, background: bool) -> None:
    response = openai.responses.create(
        model=MODEL, input="[[tokens 3]] [[finish length]]", background=background, extra_query=WAIT
    )
    assert response.status == "incomplete"
    assert response.incomplete_details
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text == "w1 w2 w3"


def test_a_failed_background_response_says_why(openai: OpenAI) -> None:
    created = openai.responses.create(model=MODEL, input="[[error code=invalid_prompt]]", background=True)
    failed = until_ended(openai, created.id)
    assert failed.status == "failed"
    assert failed.error
    assert failed.error.code == "invalid_prompt"
    assert failed.error.message


@pytest.mark.parametrize(
    ("prompt", "error", "code"),
    [
        ("[[error code=context_length_exceeded]]", BadRequestError, "context_length_exceeded"),
        ("[[status 429]]", RateLimitError, "upstream_rate_limited"),
        ("[[status 503]]", InternalServerError, "upstream_unavailable"),
    ],
)
def test_a_failed_synchronous_response_raises(
    openai: OpenAI, prompt: str, error: type[APIStatusError], code: str
) -> None:
    with pytest.raises(error) as raised:
        openai.with_options(max_retries=2).responses.create(model="once", input=prompt)
    assert raised.value.code == code
    assert isinstance(raised.value.body, dict)
    kept = openai.responses.retrieve(raised.value.body["response_id"])
    assert kept.status == "failed"


def test_headers_say_how_much_is_left_and_what_to_quote(openai: OpenAI) -> None:
    raw = openai.responses.with_raw_response.create(model=MODEL, input="[[sleep 1]]", background=True)
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    for name in ("limit", "remaining", "reset"):
        assert raw.headers[f"x-ratelimit-{name}-requests"]
    assert int(raw.headers["openai-poll-after-ms"]) == int(raw.headers["retry-after"]) * 1000


def test_the_same_idempotency_key_is_the_same_response(openai: OpenAI) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    first = openai.responses.create(model=MODEL, input="once only", background=True, extra_headers=headers)
    again = openai.responses.with_raw_response.create(
        model=MODEL, input="once only", background=True, extra_headers=headers
    )
    assert again.parse().id == first.id
    assert again.headers["idempotency-replayed"] == "true"
    with pytest.raises(UnprocessableEntityError) as raised:
        openai.responses.create(model=MODEL, input="another", background=True, extra_headers=headers)
    assert raised.value.code == "idempotency_key_reused"
