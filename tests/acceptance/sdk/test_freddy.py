"""The official Freddy SDK, `aitronos-freddy`."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest
from freddy import (  # type: ignore[import-untyped]  # it comes without types
    APIError,
    AsyncFreddyClient,
    AuthenticationError,
    FreddyClient,
    RateLimitError,
)

from app.domain.rates import Rate
from tests.acceptance.sdk.answers import MODEL, PIXEL
from tests.acceptance.sdk.blocking import Blocking
from tests.acceptance.sdk.conftest import Workerless
from tests.cluster import Client

HELLO = [{"role": "user", "texts": [{"text": "Hello!"}]}]


class Connect(Protocol):
    """Makes a client."""

    def __call__(self, url: str, key: str) -> FreddyClient: ...


@pytest.fixture(params=["sync", "async"])
def freddy(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Both clients: a test runs once with each."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())

        def made(url: str, key: str) -> FreddyClient:
            if request.param == "sync":
                return stack.enter_context(FreddyClient(api_key=key, base_url=url))
            return stack.enter_context(Blocking(runner, AsyncFreddyClient(api_key=key, base_url=url)))

        yield made


def test_it_gets_the_answer(shared: Client, freddy: Connect) -> None:
    response = freddy(shared.url, shared.key).responses.create(model=MODEL, inputs=HELLO)
    assert (response.status, response.model) == ("completed", MODEL)
    assert response.output[0].role == "assistant"
    assert response.output[0].content[0].text == "echo: Hello!"


def test_it_goes_to_the_background(shared: Client, freddy: Connect) -> None:
    response = freddy(shared.url, shared.key).responses.create(model=MODEL, inputs=HELLO, background=True)
    assert (response.status, response.output) == ("queued", [])
    assert shared.wait(response.id)["output"][0]["content"][0]["text"] == "echo: Hello!"


def test_its_parameters_are_taken(shared: Client, freddy: Connect) -> None:
    response = freddy(shared.url, shared.key).responses.create(
        model=MODEL,
        inputs=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "texts": [{"text": "What is it?"}], "images": [{"url": PIXEL}]},
        ],
        organization_id="org_1",
        temperature=0.5,
        max_tokens=50,
        tools=[{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}],
        response_format={"type": "json_object"},
        metadata={"team": "docs"},
    )
    assert response.status == "completed"
    assert response.max_output_tokens == 50


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"temperature": 9}, 400, "out_of_range"),
        ({"inputs": []}, 400, "missing_required_parameter"),
        ({"thread_id": "thread_1"}, 400, "unsupported_parameter"),
        ({"assistant_id": "asst_1"}, 400, "unsupported_parameter"),
        ({"model": "no-such-model"}, 404, "model_not_found"),
    ],
)
def test_it_raises_what_is_wrong(
    workerless: Workerless, freddy: Connect, wrong: dict[str, Any], status: int, code: str
) -> None:
    client = freddy(workerless.url, workerless.key())
    with pytest.raises(APIError) as raised:
        client.responses.create(**{"model": MODEL, "inputs": HELLO, **wrong})
    assert (raised.value.status_code, raised.value.response["code"]) == (status, code)


def test_it_raises_its_own_classes(workerless: Workerless, freddy: Connect) -> None:
    with pytest.raises(AuthenticationError):
        freddy(workerless.url, "sk-simmer-wrong").responses.create(model=MODEL, inputs=HELLO)
    limited = freddy(workerless.url, workerless.key(create_rate=Rate(1, 3600)))
    limited.responses.create(model=MODEL, inputs=HELLO, background=True)
    with pytest.raises(RateLimitError, match="Retry-After"):
        limited.responses.create(model=MODEL, inputs=HELLO, background=True)
