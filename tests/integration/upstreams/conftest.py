"""Upstreams of both protocols on the mock model server."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Literal

import pytest

from app.domain.ids import new_id
from app.domain.jobs import Completed
from app.domain.output import assemble
from app.domain.ports import Upstream, UpstreamError
from app.domain.requests import JobRequest, message
from app.upstreams.chat import ChatUpstream
from app.upstreams.connection import ModelServer
from app.upstreams.responses import ResponsesUpstream
from tests.upstream.client import MockUpstream

DEADLINE = 20.0
KEY = "sk-upstream-1"
JOB = new_id()
Ask = Callable[..., Completed]
Way = Literal["complete", "stream"]


@pytest.fixture(scope="package")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockUpstream]:
    """One for this folder: its tests count connections."""
    with MockUpstream(tmp_path_factory.mktemp("upstream")) as mock:
        yield mock


@pytest.fixture
def mark() -> str:
    """A word that stands in this test's prompts alone."""
    return f"mark-{uuid.uuid4().hex}"


@pytest.fixture
def server(upstream: MockUpstream) -> Iterator[ModelServer]:
    with closing(ModelServer(upstream.base_url, KEY, connect_timeout=5)) as made:
        yield made


@pytest.fixture
def chat(server: ModelServer) -> ChatUpstream:
    return ChatUpstream(server)


@pytest.fixture
def responses(server: ModelServer) -> ResponsesUpstream:
    return ResponsesUpstream(server)


@pytest.fixture(params=["chat", "responses"])
def either(request: pytest.FixtureRequest, server: ModelServer) -> Upstream:
    """The upstream of each protocol in turn."""
    return ChatUpstream(server) if request.param == "chat" else ResponsesUpstream(server)


@pytest.fixture(params=["complete", "stream"])
def way(request: pytest.FixtureRequest) -> Way:
    """Each way to get an answer in turn."""
    chosen: Way = request.param
    return chosen


@pytest.fixture
def ask(either: Upstream, way: Way) -> Ask:
    """Ask a prompt of each protocol in each way."""

    def answer(prompt: str, timeout: float = DEADLINE, **parameters: Any) -> Completed:
        return answered(either, way, request(prompt, **parameters), timeout)

    return answer


def request(prompt: str, **parameters: Any) -> JobRequest:
    return JobRequest(model="public-name", inputs=(message("user", prompt),), **parameters)


def answered(upstream: Upstream, way: Way, asked: JobRequest, timeout: float = DEADLINE) -> Completed:
    if way == "complete":
        return upstream.complete(asked, model="real-name", job_id=JOB, timeout=timeout)
    with closing(upstream.stream(asked, model="real-name", job_id=JOB, timeout=timeout)) as deltas:
        return assemble(JOB, deltas)


def failed(ask: Ask, prompt: str, timeout: float = DEADLINE) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        ask(prompt, timeout)
    assert "mark" not in raised.value.message
    return raised.value


def text(completed: Completed) -> Any:
    (message,) = completed.output
    (block,) = message["content"]
    return block["text"]
