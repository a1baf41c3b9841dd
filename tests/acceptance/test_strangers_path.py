"""A stranger's path, every command of it: README to a first result, tutorial to a stream and a webhook of one's own.

All of it on one `simmer up`; its model server is the tests', which answers at once.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import Client
from tests.conftest import write_models
from tests.fences import ROOT, fences, shell
from tests.processes import Process, free_port, wait_until
from tests.upstream.client import MockUpstream

START_TIMEOUT = 120.0
TIMEOUT = 90.0
TUTORIAL, README = "tutorial.md", "../README.md"
API, RECEIVER = "127.0.0.1:8000", "127.0.0.1:9000"
BIN = Path(sys.executable).parent
STORY = "Tell me a story."
README_ID = "resp_01a2069de8f07e0194587f72706c406c"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("curl") is None, reason="NOT RUN: the tutorial, since there is no curl"),
]


@dataclass(frozen=True)
class Desk:
    """A stranger's second terminal: a folder, and what the first one printed."""

    folder: Path
    places: Mapping[str, str]
    env: Mapping[str, str]

    def run(self, *code: str) -> str:
        """What the commands print."""
        script = "\n".join(code)
        for written, here in self.places.items():
            script = script.replace(written, here)
        env = {"PATH": f"{BIN}:/usr/bin:/bin", **self.env}
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            command, env=env, cwd=self.folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, upstream_server: MockUpstream) -> Iterator[Desk]:
    """`make up`, without its model; the second terminal has the key that it printed."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / ".venv").symlink_to(BIN.parent)
    command = subprocess.run(
        ["make", "--no-print-directory", "-n", "up"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert command.splitlines()[-1] == ".venv/bin/simmer up"
    given = ["--port", "0", "--flower-port", "0", "--models", str(write_models(folder, upstream_server))]
    env = {"SIMMER_HOME": str(folder / ".simmer"), "SIMMER_DATABASE_URL": "", "SIMMER_BROKER_URL": ""}
    with Process([str(BIN / "simmer"), "up", *given], log=folder / "up.log", env=env, cwd=folder) as up:
        up.wait_log("Simmer is ready.", START_TIMEOUT)
        wait_until(lambda: "Try it:" in up.output(), START_TIMEOUT, "the banner is whole")
        api = up.wait_log("  API  ", TIMEOUT).split("//")[1].partition("/")[0]
        key = up.wait_log("  API key  ", TIMEOUT).split()[-1]
        places = {API: api, RECEIVER: f"127.0.0.1:{free_port()}", '", 9000)': '", RECEIVER_PORT)'}
        places['", RECEIVER_PORT)'] = f'", {places[RECEIVER].rpartition(":")[2]})'
        yield Desk(folder, places, {**env, "API_KEY": key})


def test_the_readme_leads_to_a_first_result(desk: Desk) -> None:
    create, collect = shell(README, "Use it")
    created = desk.run(create)
    made = re.findall("resp_[0-9a-f]{32}", created)[0]
    assert '"status": "queued"' in created or '"status":"queued"' in created
    collected = desk.run(collect.replace(README_ID, made))
    assert made in collected
    assert "completed" in collected
    assert "echo: Write a detailed article about AI" in collected


def test_the_tutorial_leads_to_a_first_answer(desk: Desk) -> None:
    create, collect = shell(TUTORIAL, "Get a first answer")
    assert "echo: Write a detailed article about AI" in desk.run(create, collect)


def test_the_tutorial_leads_to_a_stream_in_own_code(desk: Desk, upstream: MockUpstream) -> None:
    program = next(code for language, code in fences(TUTORIAL) if language == "python" and "OpenAI(" in code)
    for written, here in {**desk.places, STORY: "[[tokens 30 rate=60]]"}.items():
        program = program.replace(written, here)
    (desk.folder / "stream.py").write_text(program)
    [start] = shell(TUTORIAL, "Stream it into your own code")
    assert desk.run(start).split() == [f"w{number}" for number in range(1, 31)]


def test_the_tutorial_leads_to_a_webhook_at_one_s_own_server(desk: Desk) -> None:
    program = next(code for language, code in fences(TUTORIAL) if language == "python" and "HTTPServer(" in code)
    # "20 lines": it stays small enough to be typed in.
    assert len([line for line in program.splitlines() if line.strip()]) <= 24
    for written, here in desk.places.items():
        program = program.replace(written, here)
    (desk.folder / "receiver.py").write_text(program)
    keys, told = shell(TUTORIAL, "Be told when it is done")
    printed = desk.run(keys, told)
    made = re.findall("resp_[0-9a-f]{32}", printed)[0]
    assert "whsec_" in printed
    assert [line for line in printed.splitlines() if "response.completed" in line and made in line]


def test_the_tutorial_s_receiver_refuses_what_simmer_did_not_sign(desk: Desk) -> None:
    """After the test above, which wrote it and its secret."""
    forged = f"""
      .venv/bin/python receiver.py > forged.log 2>&1 &
      receiver=$!
      curl -s --retry 20 --retry-delay 1 --retry-connrefused -o /dev/null http://{RECEIVER}/
      curl -s -o /dev/null -w '%{{http_code}}' -X POST http://{RECEIVER}/done -H "webhook-id: evt_1" \\
        -H "webhook-timestamp: $(date +%s)" -H "webhook-signature: v1,AAAA" -d '{{"type": "response.completed"}}'
      kill $receiver
    """
    assert desk.run(forged).endswith("400")
    assert "refused" in (desk.folder / "forged.log").read_text()


def test_the_path_says_nothing_that_is_not_run() -> None:
    """Every block of the tutorial is in one of the tests above."""
    headings = ("Get a first answer", "Stream it into your own code", "Be told when it is done")
    run = [code for heading in headings for code in shell(TUTORIAL, heading)]
    found = fences(TUTORIAL)
    assert [code for language, code in found if language == "sh"] == run
    assert len([code for language, code in found if language == "python"]) == 2


def test_the_readme_s_commands_for_a_server_run_a_job(
    tmp_path: Path, empty_database_url: str, broker_url: str, models_file: Path, upstream: MockUpstream
) -> None:
    """`Run it for real`, each process with nothing but what the README sets."""
    [block] = shell(README, "Run it for real")
    url = f"127.0.0.1:{free_port()}"
    places = {"postgresql://…": empty_database_url, "redis://…": broker_url, "SIMMER_MODELS=models.toml": ""}
    places |= {"0.0.0.0:8000": url, "flower\n": f"flower --port={free_port()}\n"}
    places["SIMMER_MODELS=models.toml"] = f"SIMMER_MODELS={models_file}"
    for written, here in places.items():
        assert written in block
        block = block.replace(written, here)
    export, first, _, *started = block.splitlines()
    server = Desk(tmp_path, {}, {"HOME": str(tmp_path)})
    key = re.findall(r"sk-simmer-\S+", server.run(export, first))[0]
    processes = [_started(server, number, f"{export}\n{line}") for number, line in enumerate(started)]
    try:
        client = Client(f"http://{url}", key)
        processes[0].wait_log("Listening at", START_TIMEOUT)
        job = client.submit("for real")
        assert client.wait(job, "completed", timeout=TIMEOUT)["attempts"] == 1
        reply = client.request(
            "POST", "/v1/model/response", {"model": "m", "inputs": [{"role": "user", "content": "now"}]}
        )
        assert reply.json["status"] == "completed"
        assert all(process.running for process in processes), [process.output() for process in processes]
    finally:
        for process in processes:
            process.stop()


def _started(server: Desk, number: int, script: str) -> Process:
    argv = ["env", "-i", f"PATH={BIN}:/usr/bin:/bin", f"HOME={server.folder}", "bash", "-euc", script]
    return Process(argv, log=server.folder / f"{number}.log", cwd=server.folder)
