"""The official Freddy SDK that is generated from its whole API, `aitronos-sdk`."""

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol, cast

import pytest
from aitronos import Aitronos, AsyncAitronos, InputMessage
from aitronos.core.api_error import ApiError
from aitronos.core.request_options import RequestOptions
from aitronos.errors import UnprocessableEntityError
from aitronos.responses import ChatRequestToolsItem_Function
from aitronos.types.reasoning_config import ReasoningConfig

from app.domain.rates import Rate
from tests.acceptance.sdk.answers import MODEL
from tests.acceptance.sdk.blocking import Blocking
from tests.acceptance.sdk.conftest import Workerless
from tests.cluster import Client

HELLO = [InputMessage(role="user", content="Hello!")]
BACKGROUND: RequestOptions = {"additional_body_parameters": {"background": True}}


class Connect(Protocol):
    """Makes a client."""

    def __call__(self, url: str, key: str) -> Aitronos: ...


@pytest.fixture(params=["sync", "async"])
def aitronos(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Both clients: a test runs once with each."""
    with asyncio.Runner() as runner:

        def made(url: str, key: str) -> Aitronos:
            if request.param == "sync":
                return Aitronos(base_url=url, api_key=key)
            return cast("Aitronos", Blocking(runner, AsyncAitronos(base_url=url, api_key=key)))

        yield made


def test_it_gets_the_answer(shared: Client, aitronos: Connect) -> None:
    response = aitronos(shared.url, shared.key).responses.create_response(model=MODEL, inputs=HELLO)
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == "echo: Hello!"


def test_it_goes_to_the_background(shared: Client, aitronos: Connect) -> None:
    response = aitronos(shared.url, shared.key).responses.create_response(
        model=MODEL, inputs=HELLO, request_options=BACKGROUND
    )
    assert (response["status"], response["output"]) == ("queued", [])
    assert shared.wait(response["id"])["output"][0]["content"][0]["text"] == "echo: Hello!"


def test_its_parameters_are_taken(shared: Client, aitronos: Connect) -> None:
    client = aitronos(shared.url, shared.key).responses
    tool = ChatRequestToolsItem_Function(name="weather", parameters={"type": "object", "properties": {}})
    first = client.create_response(
        model=MODEL,
        inputs=[
            InputMessage(role="system", content="Be brief."),
            InputMessage(role="user", content=[{"type": "text", "text": '[[tool weather {"city": "Bern"}]]'}]),
        ],
        organization_id="org_1",
        tools=[tool],
        stream=False,
        instructions="Be kind.",
        temperature=0.5,
        top_p=0.9,
        max_output_synapses=50,
        reasoning=ReasoningConfig(effort="low", summary="auto"),
        metadata={"team": "docs"},
        store=True,
    )
    assert first["output"][0]["name"] == "weather"
    second = client.create_response(
        model=MODEL, previous_response_id=first["id"], inputs=[InputMessage(role="user", content="Thanks")]
    )
    assert second["output"][0]["content"][0]["text"] == "echo: Thanks"


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"temperature": 9}, 400, "out_of_range"),
        ({"thread_id": "thread_1"}, 400, "unsupported_parameter"),
        ({"vector_store_ids": ["vs_1"]}, 400, "unsupported_parameter"),
        ({"model": "no-such-model"}, 404, "model_not_found"),
    ],
)
def test_it_raises_what_is_wrong(
    workerless: Workerless, aitronos: Connect, wrong: dict[str, Any], status: int, code: str
) -> None:
    client = aitronos(workerless.url, workerless.key())
    with pytest.raises(ApiError) as raised:
        client.responses.create_response(**{"model": MODEL, "inputs": HELLO, **wrong})
    assert (raised.value.status_code, raised.value.body["error"]["code"]) == (status, code)


def test_it_raises_for_a_wrong_key_and_for_too_much(workerless: Workerless, aitronos: Connect) -> None:
    with pytest.raises(ApiError) as unknown:
        aitronos(workerless.url, "sk-simmer-wrong").responses.create_response(model=MODEL, inputs=HELLO)
    assert unknown.value.status_code == 401
    limited = aitronos(workerless.url, workerless.key(create_rate=Rate(1, 3600))).responses
    once: RequestOptions = {**BACKGROUND, "max_retries": 0}
    limited.create_response(model=MODEL, inputs=HELLO, request_options=once)
    with pytest.raises(ApiError) as refused:
        limited.create_response(model=MODEL, inputs=HELLO, request_options=once)
    assert refused.value.status_code == 429
    assert refused.value.body["error"]["type"] == "rate_limit_error"


def test_it_raises_for_a_reused_idempotency_key(workerless: Workerless, aitronos: Connect) -> None:
    client = aitronos(workerless.url, workerless.key()).responses
    options: RequestOptions = {**BACKGROUND, "additional_headers": {"Idempotency-Key": "one"}}
    client.create_response(model=MODEL, inputs=[InputMessage(role="user", content="a")], request_options=options)
    with pytest.raises(UnprocessableEntityError):
        client.create_response(model=MODEL, inputs=[InputMessage(role="user", content="b")], request_options=options)
