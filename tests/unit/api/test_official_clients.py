"""What the official SDKs put on the wire, and what they make of the answer; no server in between."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import httpx2
import openai
import pytest
from aitronos import Aitronos, AsyncAitronos, InputMessage, ReasoningConfig
from aitronos.responses import ChatRequestToolsItem_Function
from freddy import AsyncFreddyClient, FreddyClient  # type: ignore[import-untyped]  # it comes without types
from pydantic import BaseModel

from app.api.freddy import presenter as freddy
from app.api.freddy.schemas import CreateResponse as FreddyBody
from app.api.openai import presenter
from app.api.openai.schemas import CreateResponse as OpenAIBody
from app.api.validation import RequestModel, validate
from app.domain.requests import JobRequest, message
from tests.unit.api import jobs

KEY = "sk-simmer-test"
URL = "http://127.0.0.1:9"


class Wire:
    """Takes one request, and answers with a completed response."""

    def __init__(self, body: type[RequestModel], present: Callable[..., Any]) -> None:
        self._body = body
        self._present = present
        self.found: JobRequest | None = None

    def _answer(self, content: bytes) -> dict[str, Any]:
        body: Any = validate(self._body, json.loads(content))
        self.found = body.to_job_request()
        text = '{"city": "Bern"}'
        part = jobs.OUTPUT[0]["content"][0] | {"text": text}
        shown = self._present(replace(jobs.COMPLETED, output=[jobs.OUTPUT[0] | {"content": [part]}]))
        return json.loads(json.dumps(shown))  # type: ignore[no-any-return]

    def httpx(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=self._answer(request.content))

    def httpx2(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=self._answer(request.content))


class Place(BaseModel):
    city: str


@pytest.fixture
def wire() -> Wire:
    return Wire(FreddyBody, freddy.present)


INPUTS: list[Any] = [{"role": "user", "texts": [{"text": "Where?"}], "images": [{"url": "https://x.org/a.png"}]}]
ASKED = {
    "inputs": INPUTS,
    "organization_id": "org_1",
    "temperature": 0.5,
    "max_tokens": 9,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "response_format": {"type": "json_object"},
}


def test_aitronos_freddy(wire: Wire) -> None:
    with FreddyClient(KEY, URL) as client:
        client.responses._client = httpx.Client(base_url=URL, transport=httpx.MockTransport(wire.httpx))
        answer = client.responses.create("m", **ASKED, background=True)
    assert json.loads(answer.output[0].content[0].text) == {"city": "Bern"}
    check_freddys(wire.found)


def test_aitronos_freddy_asynchronous(wire: Wire) -> None:
    async def ask() -> Any:
        async with AsyncFreddyClient(KEY, URL) as client:
            client.responses._client = httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(wire.httpx))
            return await client.responses.create("m", **ASKED, background=True)

    assert asyncio.run(ask()).status == "completed"
    check_freddys(wire.found)


def check_freddys(found: JobRequest | None) -> None:
    image = {"type": "input_image", "image_url": "https://x.org/a.png"}
    item = message("user", "Where?")
    assert found == JobRequest(
        "m",
        ({**item, "content": [*item["content"], image]},),
        temperature=0.5,
        max_output_tokens=9,
        tools=({"type": "function", "name": "f", "parameters": {}},),
        text={"format": {"type": "json_object"}},
        metadata={"organization_id": "org_1"},
    )


def test_aitronos_freddy_with_nothing_but_its_defaults(wire: Wire) -> None:
    with FreddyClient(KEY, URL) as client:
        client.responses._client = httpx.Client(base_url=URL, transport=httpx.MockTransport(wire.httpx))
        client.responses.create("m", [{"role": "user", "content": "Where?"}])
    assert wire.found == JobRequest("m", (message("user", "Where?"),), background=False)


AITRONOS: dict[str, Any] = {
    "model": "m",
    "inputs": [
        InputMessage(role="system", content="Be brief."),
        InputMessage(role="user", content=[{"type": "text", "text": "Where?"}], files=None, id=None, tool_call_id=None),
    ],
    "organization_id": "org_1",
    "thread_id": None,
    "tools": [ChatRequestToolsItem_Function(name="f", parameters={"type": "object"})],
    "stream": False,
    "max_output_synapses": 9,
    "reasoning": ReasoningConfig(effort="maximum", summary="off"),
    "metadata": {"k": "v"},
    "output_mode": "text",
    "store": False,
}
FROM_AITRONOS = JobRequest(
    "m",
    (message("system", "Be brief."), message("user", "Where?")),
    max_output_tokens=9,
    tools=({"type": "function", "name": "f", "parameters": {"type": "object"}},),
    reasoning={"effort": "xhigh"},
    metadata={"organization_id": "org_1", "k": "v"},
    background=False,
    store=False,
)


def test_aitronos_sdk(wire: Wire) -> None:
    transport = httpx.Client(transport=httpx.MockTransport(wire.httpx))
    client = Aitronos(base_url=URL, api_key=KEY, httpx_client=transport)
    assert client.responses.create_response(**AITRONOS)["status"] == "completed"
    assert wire.found == FROM_AITRONOS


def test_aitronos_sdk_asynchronous(wire: Wire) -> None:
    async def ask() -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(wire.httpx)) as transport:
            client = AsyncAitronos(base_url=URL, api_key=KEY, httpx_client=transport)
            return await client.responses.create_response(**AITRONOS)

    assert asyncio.run(ask())["status"] == "completed"
    assert wire.found == FROM_AITRONOS


def openai_client(wire: Wire) -> openai.OpenAI:
    transport = openai.DefaultHttpxClient(transport=httpx2.MockTransport(wire.httpx2))
    return openai.OpenAI(api_key=KEY, base_url=URL, http_client=transport, max_retries=0)


def test_openai() -> None:
    wire = Wire(OpenAIBody, presenter.present)
    client = openai_client(wire)
    answer = client.responses.parse(model="m", input="Where?", text_format=Place, background=True)
    assert answer.output_parsed == Place(city="Bern")
    assert wire.found
    assert wire.found.text
    form = wire.found.text["format"]
    assert (form["type"], form["strict"], form["schema"]["required"]) == ("json_schema", True, ["city"])


@pytest.mark.parametrize("dumped", [False, True])
def test_openai_sends_back_what_it_got(dumped: bool) -> None:
    """A turn without `previous_response_id`: the SDK's own models as they are, or dumped with all their nulls."""
    wire = Wire(OpenAIBody, presenter.present)
    client = openai_client(wire)
    first = client.responses.create(model="m", input="Where?")
    output: list[Any] = [item.model_dump() for item in first.output] if dumped else list(first.output)
    client.responses.create(model="m", input=[*output, {"role": "user", "content": "Sure?"}])
    assert wire.found
    said, question = wire.found.inputs
    assert (said["role"], said["id"], said["content"][0]["text"]) == ("assistant", "msg_1", '{"city": "Bern"}')
    assert None not in said.values()
    assert question == message("user", "Sure?")


def test_openai_sends_back_what_it_parsed() -> None:
    wire = Wire(OpenAIBody, presenter.present)
    client = openai_client(wire)
    first = client.responses.parse(model="m", input="Where?", text_format=Place)
    client.responses.parse(model="m", input=[*first.output], text_format=Place)  # type: ignore[list-item]
    assert wire.found
    assert wire.found.inputs[0]["content"][0]["type"] == "output_text"
