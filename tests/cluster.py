"""The real processes of Simmer, started by a test: API, workers, beat; and a client that speaks HTTP to them."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from app.domain.jobs import JOB_QUEUES
from tests.processes import Process, free_port, wait_until

START_TIMEOUT = 60.0
REQUEST_TIMEOUT = 30.0
TERMINAL = {"completed", "failed", "cancelled"}
_BIN = Path(sys.executable).parent
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Reply:
    """An HTTP reply; `json` is its body."""

    status: int
    headers: Mapping[str, str]
    json: Any


@dataclass(frozen=True)
class Client:
    """One API key's view of a running API."""

    url: str
    key: str

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send one request; an error status is a reply like any other."""
        data = None if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers}
        request = Request(self.url + path, data=data, method=method, headers=sent)
        try:
            with urlopen(request, timeout=REQUEST_TIMEOUT) as reply:
                return Reply(reply.status, dict(reply.headers), json.load(reply))
        except HTTPError as error:
            with error:
                return Reply(error.code, dict(error.headers), json.load(error))

    def submit(self, text: str, model: str = "gpt-4.1", **more: Any) -> str:
        """Create a background response; return its id."""
        inputs = [{"role": "user", "texts": [{"text": text}]}]
        body = {"model": model, "background": True, "inputs": inputs, **more}
        reply = self.request("POST", "/v1/model/response", body)
        assert reply.status == 200, reply
        job_id: str = reply.json["id"]
        return job_id

    def get(self, job_id: str) -> Any:
        """The response object as it is now."""
        reply = self.request("GET", f"/v1/model/response/{job_id}")
        assert reply.status == 200, reply
        return reply.json

    def cancel(self, job_id: str) -> Reply:
        return self.request("POST", f"/v1/model/response/{job_id}/cancel")

    def wait(self, job_id: str, *statuses: str, timeout: float = 30) -> Any:
        """The response object once it has one of the statuses (default: any that is final)."""
        wanted = set(statuses) or TERMINAL

        def reached() -> Any:
            job = self.get(job_id)
            return job if job["status"] in wanted else None

        return wait_until(reached, timeout, f"{job_id} {sorted(wanted)}")

    def all(self, **query: str) -> Iterator[Any]:
        """Every response of the key, page by page, newest first."""
        after = ""
        while True:
            pairs = {"limit": "100", **query, **({"after": after} if after else {})}
            page = self.request("GET", "/v1/model/response?" + "&".join(f"{k}={v}" for k, v in pairs.items())).json
            yield from page["data"]
            if not page["has_more"]:
                return
            after = page["last_id"]


@dataclass
class Cluster:
    """Starts processes that all share `env`, and kills them on exit. Logs stand in `folder`."""

    folder: Path
    env: Mapping[str, str]
    root: Path = _ROOT
    """Where the code lies that they run."""
    _started: list[Process] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Nothing of a test's is worth an orderly stop; those are tested where they matter.
        for process in self._started:
            process.kill()
        for process in self._started:
            process.stop()

    def api(self, processes: int = 1, *, name: str = "api", port: int | None = None, **settings: str) -> str:
        """Start gunicorn; return its URL once it answers. `settings` add to the environment."""
        port = port or free_port()
        env = {"WEB_CONCURRENCY": str(processes), **settings}
        argv = [
            "gunicorn",
            "--config",
            "python:app.gunicorn",
            "--bind",
            f"127.0.0.1:{port}",
            "app.factory:create_app()",
        ]
        process = self.start(name, argv, env)
        url = f"http://127.0.0.1:{port}"
        process.wait_log("Listening at", START_TIMEOUT)
        wait_until(lambda: _answers(f"{url}/healthz"), START_TIMEOUT, "API answers")
        return url

    def worker(
        self,
        name: str = "jobs",
        *,
        queue: str = ",".join(JOB_QUEUES),
        pool: str = "gevent",
        concurrency: int = 100,
        app: str = "workers.celery_app",
        **env: str,
    ) -> Process:
        """Start a Celery worker named `name@local`, and wait until it consumes. `env` adds settings."""
        argv = ["celery", "-A", app, "worker", "-P", pool, "-c", str(concurrency), "-Q", queue, "-n", f"{name}@local"]
        process = self.start(name, [*argv, "--without-mingle", "--without-gossip", "-E", "-l", "INFO"], env)
        process.wait_log(f"{name}@local ready", START_TIMEOUT)
        return process

    def system(self, **env: str) -> tuple[Process, Process]:
        """Start the worker for system work, and beat."""
        return self.worker("system", queue="system", concurrency=20, **env), self.beat(**env)

    def webhooks(self, name: str = "webhooks", **env: str) -> Process:
        """Start a worker that delivers webhooks."""
        return self.worker(name, queue="webhooks", concurrency=100, **env)

    def beat(self, name: str = "beat", **env: str) -> Process:
        """Start beat."""
        process = self.start(
            name, ["celery", "-A", "workers.celery_app", "beat", "--schedule", str(self.folder / f"{name}.db")], env
        )
        process.wait_log("beat: Starting", START_TIMEOUT)
        return process

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        """Start any command of the virtual environment."""
        command = [str(_BIN / argv[0]), *argv[1:]]
        given = {**self.env, "PYTHONPATH": os.fspath(self.root), **(env or {})}
        process = Process(command, log=self.folder / f"{name}.log", env=given, cwd=self.root)
        self._started.append(process)
        return process

    def started(self, name: str) -> Process:
        """The process of this name that was started last."""
        return next(process for process in reversed(self._started) if process.log.stem == name)

    def logs(self) -> str:
        """What all processes wrote."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


def environment(database_url: str, broker_url: str, models: Path, **settings: str) -> dict[str, str]:
    """The environment of the processes: these parts, and intervals short enough for a test."""
    return {
        "SIMMER_DATABASE_URL": database_url,
        "SIMMER_BROKER_URL": broker_url,
        "SIMMER_MODELS": os.fspath(models),
        "SIMMER_SWEEP_INTERVAL": "1",
        "SIMMER_PURGE_INTERVAL": "1",
        "SIMMER_REDISPATCH_AFTER": "2",
        "SIMMER_LEASE": "6",
        "SIMMER_HEARTBEAT_INTERVAL": "1",
        "SIMMER_RETRY_BACKOFF": "0.1",
        "SIMMER_DRAIN_TIMEOUT": "2",
        "SIMMER_CREATE_RATE": "1000000/minute",
        "SIMMER_POLL_RATE": "1000000/minute",
        # Only the tests of it are about overload; all others share few cores.
        "SIMMER_MAX_CONCURRENT_REQUESTS": "10000",
        "PYTHONUNBUFFERED": "1",
        **settings,
    }


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2):
            return True
    except OSError:
        return False
