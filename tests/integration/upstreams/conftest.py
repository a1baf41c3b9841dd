"""A chat upstream on the mock model server."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.domain.ids import new_id
from app.domain.jobs import Completed, InputMessage, JobRequest
from app.domain.ports import UpstreamError
from app.upstreams.chat import ChatUpstream
from tests.upstream.client import MockUpstream

DEADLINE = 20.0
KEY = "sk-upstream-1"
Ask = Callable[..., Completed]


@pytest.fixture
def mark() -> str:
    """A word that stands in this test's prompts alone."""
    return f"mark-{uuid.uuid4().hex}"


@pytest.fixture
def chat(upstream: MockUpstream) -> Iterator[ChatUpstream]:
    made = ChatUpstream(upstream.base_url, KEY, connect_timeout=5)
    yield made
    made._client.close()


@pytest.fixture
def ask(chat: ChatUpstream) -> Ask:
    def complete(prompt: str, timeout: float = DEADLINE) -> Completed:
        return chat.complete(request(prompt), model="real-name", job_id=new_id(), timeout=timeout)

    return complete


def request(prompt: str) -> JobRequest:
    return JobRequest(model="public-name", inputs=(InputMessage("user", (prompt,)),))


def failed(ask: Ask, prompt: str, timeout: float = DEADLINE) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        ask(prompt, timeout)
    assert "mark" not in raised.value.message
    return raised.value


def text(completed: Completed) -> Any:
    (message,) = completed.output
    (block,) = message["content"]
    return block["text"]
