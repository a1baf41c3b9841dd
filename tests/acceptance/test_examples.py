"""The example projects of `docs/examples`, as their reader would run them."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.container import Container
from app.domain.rates import Overrides
from tests.acceptance.door import Door
from tests.cluster import Client, Cluster
from tests.processes import Process, wait_until
from tests.upstream.client import MockUpstream

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "examples" / "celery-pipeline"
GUIDE = (DOCS / "guides" / "from-celery.md").read_text()
TIMEOUT = 90.0
SCOPES = ["responses:read", "responses:write"]


@dataclass
class Pipeline:
    """The example, on a broker of its own. Its worker's and its main program's output stands in `folder`."""

    folder: Path
    env: dict[str, str]
    stack: ExitStack

    def worker(self, name: str) -> Process:
        """Start a worker as the guide says, and wait until it consumes."""
        command = next(line for line in GUIDE.splitlines() if line.startswith("celery "))
        quick = ["-l", "INFO", "-n", f"{name}@local", "--without-mingle", "--without-gossip"]
        process = self._start(name, "-m", *command.split(), *quick)
        process.wait_log(f"{name}@local ready", TIMEOUT)
        return process

    def run(self, *prompts: str) -> Process:
        """Have these prompts answered; `answers` waits for it."""
        file = self.folder / "prompts.txt"
        file.write_text("\n".join(prompts))
        return self._start("pipeline", "pipeline.py", str(file))

    def _start(self, name: str, *arguments: str) -> Process:
        process = Process([sys.executable, *arguments], log=self.folder / f"{name}.log", env=self.env, cwd=EXAMPLE)
        self.stack.callback(process.stop)
        return process


def answers(program: Process) -> list[dict[str, Any]]:
    """What the main program printed, once it is through."""
    assert program.wait(TIMEOUT) == 0, program.output()
    return [json.loads(line) for line in program.output().splitlines() if line.startswith("{")]


def made(tmp_path: Path, stack: ExitStack, url: str, key: str, broker_url: str) -> Pipeline:
    env = {
        "SIMMER_URL": url,
        "API_KEY": key,
        "REDIS_URL": broker_url,
        "PIPELINE_WAIT": "1",
        "PIPELINE_VISIBILITY": "8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return Pipeline(tmp_path, env, stack)


@pytest.fixture
def door(shared: Client) -> Iterator[Door]:
    with Door(shared.url) as opened:
        yield opened


@pytest.fixture
def pipeline(tmp_path: Path, door: Door, shared: Client, broker_url: str) -> Iterator[Pipeline]:
    with ExitStack() as stack:
        yield made(tmp_path, stack, door.url, shared.key, broker_url)


@pytest.fixture
def tag() -> str:
    """Tells the prompts of a test from all others."""
    return uuid4().hex


def test_the_guide_quotes_the_example() -> None:
    quotes = re.findall(r"^```py\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert quotes
    assert not [quote for quote in quotes if quote not in (EXAMPLE / "tasks.py").read_text()]


def test_the_pipeline_returns_every_answer_in_order(pipeline: Pipeline, tag: str) -> None:
    pipeline.worker("first")
    found = answers(pipeline.run(*(f"{tag} {number}" for number in range(30))))
    assert [answer["text"] for answer in found] == [f"echo: {tag} {number}" for number in range(30)]
    assert {answer["status"] for answer in found} == {"completed"}


def test_a_response_that_ends_badly_spoils_no_other(
    pipeline: Pipeline, shared: Client, upstream: MockUpstream, tag: str
) -> None:
    pipeline.worker("first")
    refused = f"{tag} [[error code=invalid_prompt]]"
    program = pipeline.run(f"{tag} good", refused, f"{tag} hangs [[hang]]", f"{tag} NUL \0")
    hanging = upstream.wait_for_call(f"{tag} hangs", TIMEOUT)
    assert shared.cancel(hanging.headers["x-client-request-id"]).status == 200
    found = answers(program)
    assert [answer["status"] for answer in found] == ["completed", "failed", "cancelled", "refused"]
    assert [(answer["error"] or {}).get("code") for answer in found] == [
        None,
        "invalid_prompt",
        None,
        "invalid_unicode",
    ]


def test_the_answers_arrive_though_the_worker_is_killed_while_the_models_think(
    pipeline: Pipeline, upstream: MockUpstream, tag: str
) -> None:
    first = pipeline.worker("first")
    program = pipeline.run(*(f"{tag} {number} [[gate {tag}]]" for number in range(5)))
    for number in range(5):
        upstream.wait_for_call(f"{tag} {number}", TIMEOUT)
    # Not in between: what Celery has just popped from Redis, and not yet noted as such, dies with it.
    wait_until(lambda: first.output().count("Task tasks.collect[") >= 5, TIMEOUT, "it waits for all answers")
    first.kill()
    upstream.open_gate(tag)
    pipeline.worker("second")
    assert [answer["text"] for answer in answers(program)] == [f"echo: {tag} {number}" for number in range(5)]
    assert len(upstream.calls(tag)) == 5


def test_a_worker_killed_before_it_got_the_reply_leaves_one_response(
    pipeline: Pipeline, door: Door, upstream: MockUpstream, tag: str
) -> None:
    first = pipeline.worker("first")
    door.silent = True
    program = pipeline.run(tag)
    assert door.swallowed.acquire(timeout=TIMEOUT)
    first.kill()
    door.silent = False
    pipeline.worker("second")
    assert [answer["text"] for answer in answers(program)] == [f"echo: {tag}"]
    assert len(upstream.calls(tag)) == 1


def test_the_pipeline_comes_back_when_simmer_is_busy(pipeline: Pipeline, door: Door, tag: str) -> None:
    pipeline.worker("first")
    door.refusals = 3
    found = answers(pipeline.run(f"{tag} 1", f"{tag} 2"))
    assert [answer["text"] for answer in found] == [f"echo: {tag} 1", f"echo: {tag} 2"]
    assert door.refusals == 0


def test_the_pipeline_comes_back_when_its_key_is_at_its_cap(
    cluster: Cluster, container: Container, upstream: MockUpstream, tmp_path: Path, broker_url: str, tag: str
) -> None:
    key = container.keys.create("pipeline", SCOPES, overrides=Overrides(max_active=1))[1]
    client = Client(cluster.api(), key)
    cluster.worker()
    client.submit(f"{tag} first [[gate {tag}]]")
    with ExitStack() as stack:
        pipeline = made(tmp_path, stack, client.url, key, broker_url)
        worker = pipeline.worker("first")
        program = pipeline.run(f"{tag} second")
        worker.wait_log("429", TIMEOUT)
        upstream.open_gate(tag)
        assert [answer["text"] for answer in answers(program)] == [f"echo: {tag} second"]


def test_an_answer_that_nobody_waits_for_any_more_is_cancelled(
    pipeline: Pipeline, upstream: MockUpstream, tag: str
) -> None:
    pipeline.env["PIPELINE_PATIENCE"] = "2"
    pipeline.worker("first")
    assert [answer["status"] for answer in answers(pipeline.run(f"{tag} [[hang]]"))] == ["cancelled"]
    upstream.wait_closed(tag, TIMEOUT)
