"""Other people's clients, as they are, in front of a running Simmer."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol, cast

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpx2Client, DefaultHttpx2Client, OpenAI

from app.container import Container
from app.domain.rates import Overrides
from app.domain.scopes import DEFAULT_SCOPES
from app.services.keys import KeyService
from app.settings import Settings
from tests.acceptance.sdk.answers import MODEL
from tests.acceptance.sdk.blocking import Blocking
from tests.acceptance.sdk.witness import AsyncWitnessedTransport, Witness, WitnessedTransport
from tests.cluster import Client, Cluster, environment
from tests.conftest import fresh_broker, fresh_database

NOWHERE = "http://127.0.0.1:9/v1"


class Connect(Protocol):
    """Makes a client of the official SDK; `max_retries` as the SDK means it."""

    def __call__(self, url: str, key: str, *, max_retries: int = 0) -> OpenAI: ...


@dataclass(frozen=True, slots=True)
class Workerless:
    """An API whose jobs nobody takes, and the way to keys of every kind for it."""

    url: str
    keys: KeyService

    def key(self, *scopes: str, **overrides: Any) -> str:
        """A new API key; `overrides` are those of Overrides."""
        return self.keys.create("sdk", scopes or DEFAULT_SCOPES, overrides=Overrides(**overrides))[1]


@pytest.fixture
def witness() -> Iterator[Witness]:
    """Sees every reply; the test fails if one was not as the schemas say."""
    made = Witness()
    yield made
    assert not made.problems, "\n".join(dict.fromkeys(made.problems))


def synchronous(witness: Witness, url: str, key: str, *, max_retries: int = 0) -> OpenAI:
    """The SDK's synchronous client."""
    http = DefaultHttpx2Client(transport=WitnessedTransport(witness))
    return OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=max_retries, http_client=http)


def asynchronous(witness: Witness, url: str, key: str, *, max_retries: int = 0) -> AsyncOpenAI:
    """The SDK's asynchronous client."""
    http = DefaultAsyncHttpx2Client(transport=AsyncWitnessedTransport(witness))
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=max_retries, http_client=http)


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, witness: Witness) -> Iterator[Connect]:
    """Both clients of the OpenAI SDK: a test runs once with each."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())

        def made(url: str, key: str, *, max_retries: int = 0) -> OpenAI:
            if request.param == "sync":
                return stack.enter_context(synchronous(witness, url, key, max_retries=max_retries))
            client = asynchronous(witness, url, key, max_retries=max_retries)
            return cast("OpenAI", stack.enter_context(Blocking(runner, client)))

        yield made


@pytest.fixture
def openai(shared: Client, connect: Connect) -> OpenAI:
    """A client of the Simmer that tests share."""
    return connect(shared.url, shared.key)


@pytest.fixture(scope="session")
def workerless(tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str) -> Iterator[Workerless]:
    """One for all tests; it serves one model alone."""
    folder = tmp_path_factory.mktemp("workerless")
    models = folder / "models.toml"
    models.write_text(f'[upstreams.none]\nbase_url = "{NOWHERE}"\n[models."{MODEL}"]\nupstream = "none"\n')
    with fresh_database(postgres) as database_url:
        env = environment(database_url, fresh_broker(valkey), models)
        with Cluster(folder, env) as cluster:
            container = Container(Settings(database_url=database_url))
            yield Workerless(cluster.api(), container.keys)
            container.database.close()
