"""`simmer up` and `simmer demo` with every real process of the stack."""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from app.stack.destroy import destroy_home
from app.stack.http import basic, call
from tests.processes import Process, free_port, wait_until

START_TIMEOUT = 120
STOP_TIMEOUT = 90
SIMMER = [sys.executable, "-m", "app.cli"]
PROCESSES = {"postgres", "valkey", "api", "jobs", "sync", "system", "webhooks", "beat", "flower"}
ROOT = Path(__file__).parents[3]
MODELS = """
[upstreams.none]
protocol = "chat"
base_url = "http://127.0.0.1:{port}/v1"
[models."*"]
upstream = "none"
"""


class Up(Process):
    """`simmer up` without the model, on free ports, far away from the project's folder."""

    def __init__(self, home: Path, *options: str) -> None:
        models = home.parent / "models.toml"
        models.write_text(MODELS.format(port=free_port()))
        self._file = home / "run.json"
        super().__init__(
            [*SIMMER, "up", "--port", "0", "--flower-port", "0", "--models", str(models), *options],
            log=home.parent / f"{home.name}.log",
            env={"SIMMER_HOME": str(home), "SIMMER_DATABASE_URL": "", "SIMMER_BROKER_URL": ""},
            cwd=ROOT,
        )

    def run_json(self) -> dict[str, Any]:
        return dict(json.loads(self._file.read_text()))

    def wait_ready(self) -> dict[str, Any]:
        self.wait_log("Simmer is ready.", START_TIMEOUT)
        wait_until(self._file.exists, START_TIMEOUT, "run.json is there")
        return self.run_json()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def end(self, number: signal.Signals) -> int:
        self.kill(number)
        return self.wait(STOP_TIMEOUT)


def _left(family: list[psutil.Process]) -> list[psutil.Process]:
    def runs(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [process for process in family if runs(process)]


def _jobs(run: dict[str, Any]) -> int:
    return call(f"{run['api_url']}/v1/model/response", authorization=f"Bearer {run['api_key']}")[0]


@pytest.mark.timeout(400)
def test_a_home_from_its_first_start_to_its_end(hidden_home: Path) -> None:
    with Up(hidden_home) as up:
        run = up.wait_ready()
        assert set(run["pids"]) == PROCESSES
        assert run["model_url"] is None
        assert (hidden_home / "run.json").stat().st_mode & 0o777 == 0o600
        assert _jobs(run) == 200
        login = basic(run["flower_user"], run["flower_password"])
        assert call(f"{run['flower_url']}/api/workers", authorization=login)[0] == 200
        assert call(f"{run['flower_url']}/api/workers")[0] == 401
        _check_secrets(run, up.family(), up.output())
        _check_second_up_is_refused(hidden_home)
        _check_restart_is_noted(up, run)
        family = up.family()
        assert up.end(signal.SIGINT) == 0
        assert not _left(family)
        assert not (hidden_home / "run.json").exists()

    with Up(hidden_home) as up:
        again = up.wait_ready()
        changed = {name for name in run if run[name] != again[name]}
        assert changed == {"pids"}
        family = up.family()
        assert len(family) > len(PROCESSES)
        up.kill(signal.SIGKILL)
        wait_until(lambda: not _left(family), STOP_TIMEOUT, "kill -9 leaves no process")

    destroy_home(hidden_home)
    assert not hidden_home.exists()


def _check_secrets(run: dict[str, Any], family: list[psutil.Process], output: str) -> None:
    secrets = [run["flower_password"], run["database_url"].split(":")[2].partition("@")[0]]
    secrets.append(run["broker_url"].split(":")[2].partition("@")[0])
    commands = [" ".join(process.cmdline()) for process in _left(family)]
    assert not [command for command in commands for secret in secrets if secret in command]
    # the two that the banner is there to show are left aside
    assert not [secret for secret in secrets[1:] if secret in output]


def _check_second_up_is_refused(home: Path) -> None:
    second = Process(
        [*SIMMER, "up", "--port", "0", "--flower-port", "0"],
        log=home.parent / "second.log",
        env={"SIMMER_HOME": str(home)},
        cwd=ROOT,
    )
    with second:
        assert second.wait(START_TIMEOUT) == 1
        assert "runs in" in second.output()
        assert "Traceback" not in second.output()


def _check_restart_is_noted(up: Up, run: dict[str, Any]) -> None:
    os.kill(run["pids"]["jobs"], signal.SIGKILL)
    up.wait_log("jobs (pid", START_TIMEOUT)
    wait_until(lambda: up.run_json()["pids"].get("jobs", 0) not in (0, run["pids"]["jobs"]), START_TIMEOUT, "new pid")
    others = {name: pid for name, pid in up.run_json()["pids"].items() if name != "jobs"}
    assert others == {name: pid for name, pid in run["pids"].items() if name != "jobs"}


@pytest.mark.timeout(300)
def test_given_a_database_and_a_broker_nothing_embedded_starts(tmp_path: Path) -> None:
    with Up(tmp_path / "lender") as lender:
        lent = lender.wait_ready()
        home = tmp_path / "borrower"
        process = Process(
            [*SIMMER, "up", "--port", "0", "--flower-port", "0", "--no-model"],
            log=tmp_path / "borrower.log",
            env={
                "SIMMER_HOME": str(home),
                "SIMMER_DATABASE_URL": lent["database_url"],
                "SIMMER_BROKER_URL": lent["broker_url"],
                "SIMMER_MODELS": str(tmp_path / "models.toml"),
            },
            cwd=ROOT,
        )
        with process:
            process.wait_log("Simmer is ready.", START_TIMEOUT)
            wait_until((home / "run.json").exists, START_TIMEOUT, "run.json is there")
            run = json.loads((home / "run.json").read_text())
            assert set(run["pids"]) == PROCESSES - {"postgres", "valkey"}
            assert run["database_url"] == lent["database_url"]
            assert _jobs(run) == 200
        # a database that doesn't know the kept key gets a new one: here the row is gone
        with psycopg.connect(lent["database_url"]) as connection:
            connection.execute("DELETE FROM api_keys")
        lender.end(signal.SIGTERM)
    with Up(tmp_path / "lender") as lender:
        renewed = lender.wait_ready()
        assert renewed["api_key"] != lent["api_key"]
        assert _jobs(renewed) == 200
        lender.end(signal.SIGTERM)
    destroy_home(tmp_path / "lender")
    destroy_home(home)


@pytest.mark.timeout(400)
def test_the_demo_completes_and_leaves_nothing(tmp_path: Path) -> None:
    with Process([*SIMMER, "demo"], log=tmp_path / "log", env={"TMPDIR": str(tmp_path)}, cwd=ROOT) as demo:
        demo.wait_log("Everything is ready", START_TIMEOUT)
        family = psutil.Process(demo.pid).children(recursive=True)
        assert demo.wait(300) == 0
    output = demo.output()
    for word in ("queued", "completed", "usage", "output_tokens", "SUCCESS"):
        assert word in output
    assert not _left(family)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [*SIMMER, "up", "--port", str(port), "--flower-port", "0"]
        with Process(command, log=tmp_path / "log", env={"SIMMER_HOME": str(tmp_path / "home")}, cwd=ROOT) as up:
            assert up.wait(START_TIMEOUT) == 1
    assert f"port {port} (api) is taken" in up.output()
    assert "--port 0" in up.output()
