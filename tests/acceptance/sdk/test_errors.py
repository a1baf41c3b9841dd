"""The official SDK raises the class that fits each refusal."""

from typing import Any

import pytest
from openai import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
    RateLimitError,
)

from app.domain.rates import Rate
from tests.acceptance.sdk.answers import MODEL
from tests.acceptance.sdk.conftest import Connect, Workerless
from tests.cluster import Client

UNKNOWN = "resp_" + "0" * 32


def test_a_wrong_key(shared: Client, connect: Connect) -> None:
    openai = connect(shared.url, "sk-simmer-wrong")
    with pytest.raises(AuthenticationError) as raised:
        openai.responses.retrieve(UNKNOWN)
    assert (raised.value.code, raised.value.type) == ("invalid_api_key", "authentication_error")
    assert raised.value.request_id


def test_a_key_that_may_only_read(workerless: Workerless, connect: Connect) -> None:
    openai = connect(workerless.url, workerless.key("responses:read"))
    with pytest.raises(PermissionDeniedError) as raised:
        openai.responses.create(model=MODEL, input="no", background=True)
    assert (raised.value.code, raised.value.type) == ("insufficient_scope", "permission_error")


def test_somebody_elses_response(workerless: Workerless, connect: Connect) -> None:
    owner, other = (connect(workerless.url, workerless.key()) for _ in range(2))
    response_id = owner.responses.create(model=MODEL, input="mine", background=True).id
    with pytest.raises(NotFoundError) as theirs:
        other.responses.retrieve(response_id)
    with pytest.raises(NotFoundError) as nobodys:
        other.responses.retrieve(UNKNOWN)
    assert theirs.value.body == nobodys.value.body
    assert theirs.value.type == "not_found_error"


def test_a_model_that_is_not_served(workerless: Workerless, connect: Connect) -> None:
    openai = connect(workerless.url, workerless.key())
    for ask in (openai.models.retrieve, lambda model: openai.responses.create(model=model, input="no")):
        with pytest.raises(NotFoundError) as raised:
            ask("no-such-model")
        assert (raised.value.code, raised.value.type) == ("model_not_found", "invalid_request_error")


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ({"temperature": 9}, "out_of_range", "temperature"),
        ({"previous_response_id": UNKNOWN}, "previous_response_not_found", "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, "unsupported_parameter", "tools[0].type"),
        ({"extra_body": {"no_such": 1}}, "unknown_parameter", "no_such"),
    ],
)
def test_a_wrong_request(openai: OpenAI, wrong: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(BadRequestError) as raised:
        openai.responses.create(model=MODEL, input="no", **wrong)
    assert (raised.value.code, raised.value.param) == (code, param)
    assert raised.value.type == "invalid_request_error"


def test_a_stream_of_a_response_without_one(openai: OpenAI) -> None:
    response_id = openai.responses.create(model=MODEL, input="plain").id
    with pytest.raises(BadRequestError):
        openai.responses.retrieve(response_id, stream=True)


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ({"create_rate": Rate(1, 3600)}, "rate_limit_exceeded"),
        ({"max_active": 1}, "concurrency_limit_exceeded"),
        ({"max_queued": 1}, "queue_limit_exceeded"),
    ],
)
def test_more_than_the_key_may(workerless: Workerless, connect: Connect, limit: dict[str, Any], code: str) -> None:
    openai = connect(workerless.url, workerless.key(**limit))
    openai.responses.create(model=MODEL, input="one", background=True)
    with pytest.raises(RateLimitError) as raised:
        openai.responses.create(model=MODEL, input="two", background=True)
    assert (raised.value.code, raised.value.type) == (code, "rate_limit_error")
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 120


def test_the_sdk_waits_as_it_is_told(workerless: Workerless, connect: Connect) -> None:
    openai = connect(workerless.url, workerless.key(create_rate=Rate(1, 1)), max_retries=5)
    for text in ("one", "two"):
        assert openai.responses.create(model=MODEL, input=text, background=True).status == "queued"
