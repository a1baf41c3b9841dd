"""The processes of Simmer itself, as the stack runs them: the same commands as on a server."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.domain.jobs import BACKGROUND_QUEUES, SYNC_QUEUE
from app.stack.http import answers, basic, call
from app.stack.keys import SCOPES
from app.stack.process import ProcessSpec

API_WORKERS = 2
SYNC_CONCURRENCY = 200
SYSTEM_CONCURRENCY = 20
WEBHOOK_CONCURRENCY = 100
WORKER_NAMES = ("jobs", "sync", "system", "webhooks")
STEP_TIMEOUT = 120.0
# seconds a process gets on top of the drain before it is killed
STOP_MARGIN = 10.0


@dataclass(frozen=True)
class FlowerLogin:
    """Made once per home; the cookie secret keeps a browser logged in over a restart."""

    user: str
    password: str
    cookie_secret: str


@dataclass(frozen=True)
class Services:
    """Builds the specs; `env` is the environment they share, `drain` how long a worker may finish its jobs."""

    home: Path
    env: Mapping[str, str]
    drain: float

    def migrate(self) -> ProcessSpec:
        return self._python("migrate", "-m", "app.cli", "migrate")

    def create_key(self) -> ProcessSpec:
        scopes = [f"--scope={scope}" for scope in SCOPES]
        return self._python("key", "-m", "app.cli", "keys", "create", "--name", "local", *scopes, "--json")

    def api(self, port: int) -> ProcessSpec:
        spec = self._python(
            "api",
            *("-m", "gunicorn", "--config", "python:app.gunicorn", "--bind", f"127.0.0.1:{port}"),
            "app.factory:create_app()",
        )
        return replace(
            spec,
            env={**self.env, "WEB_CONCURRENCY": str(API_WORKERS)},
            ready=lambda: answers(f"http://127.0.0.1:{port}/readyz"),
            stop_grace=self.drain + STOP_MARGIN,
        )

    def job_worker(self, concurrency: int) -> ProcessSpec:
        """Takes background jobs, the most urgent first."""
        return self._worker("jobs", ",".join(BACKGROUND_QUEUES), concurrency)

    def sync_worker(self) -> ProcessSpec:
        """Takes the jobs whose clients wait on the line."""
        return self._worker("sync", SYNC_QUEUE, SYNC_CONCURRENCY)

    def system_worker(self) -> ProcessSpec:
        return self._worker("system", "system", SYSTEM_CONCURRENCY)

    def webhook_worker(self) -> ProcessSpec:
        """Delivers webhooks, which hang for as long as somebody's server likes."""
        return self._worker("webhooks", "webhooks", WEBHOOK_CONCURRENCY)

    def beat(self) -> ProcessSpec:
        return self._celery("beat", "beat", "--schedule", str(self.home / "beat" / "schedule"))

    def flower(self, port: int, login: FlowerLogin) -> ProcessSpec:
        """Ready once it has seen all workers: that is also how the stack knows that they are up."""
        # secrets go through the environment: every user of the machine can read argv
        secrets = {
            "FLOWER_BASIC_AUTH": f"{login.user}:{login.password}",
            "FLOWER_COOKIE_SECRET": login.cookie_secret,
        }
        spec = self._python(
            "flower",
            *("-m", "celery", "--quiet", "-A", "workers.celery_app"),
            *("flower", "--address=127.0.0.1", f"--port={port}"),
        )
        return replace(
            spec,
            env={**self.env, **secrets},
            ready=lambda: _sees_workers(port, basic(login.user, login.password)),
        )

    def _worker(self, name: str, queue: str, concurrency: int) -> ProcessSpec:
        spec = self._celery(
            name,
            *("worker", "-P", "gevent", "-c", str(concurrency), "-Q", queue, "-n", f"{name}@%h"),
            *("--without-mingle", "--without-gossip", "-E"),
        )
        return replace(spec, stop_grace=self.drain + STOP_MARGIN)

    def _celery(self, name: str, *arguments: str) -> ProcessSpec:
        return self._python(name, "-m", "workers", "--quiet", *arguments)

    def _python(self, name: str, *arguments: str) -> ProcessSpec:
        # in the home: modules in the caller's folder must not shadow ours
        return ProcessSpec(name=name, argv=[sys.executable, *arguments], env=self.env, cwd=self.home)


def _sees_workers(port: int, authorization: str) -> bool:
    """Flower's worker list, once all workers have said that they are online."""
    try:
        status, workers = call(f"http://127.0.0.1:{port}/api/workers?status=1", authorization=authorization)
    except (OSError, ValueError):
        return False
    online = [name.partition("@")[0] for name, is_up in (workers or {}).items() if is_up]
    return status == 200 and set(WORKER_NAMES) <= set(online)
