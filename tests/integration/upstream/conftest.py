"""One mock upstream for this folder, and the real SDK on it."""

import uuid
from collections.abc import Callable, Iterator

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.upstream.client import MockUpstream

Ask = Callable[[str], ChatCompletion]


@pytest.fixture(scope="package")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockUpstream]:
    with MockUpstream(tmp_path_factory.mktemp("upstream")) as mock:
        yield mock


@pytest.fixture
def sdk(upstream: MockUpstream) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=upstream.base_url, api_key="sk-test", max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def ask(sdk: openai.OpenAI) -> Ask:
    def complete(prompt: str) -> ChatCompletion:
        return sdk.chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": prompt}])

    return complete


@pytest.fixture
def mark() -> str:
    """A word that stands in this test's prompts alone."""
    return f"mark-{uuid.uuid4().hex}"
