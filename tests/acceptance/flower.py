"""Flower as a process of a test's cluster, and its HTTP API."""

import base64
import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.cluster import Cluster
from tests.processes import free_port, wait_until

AUTH = "admin:flower-password"


@dataclass(frozen=True)
class Flower:
    """A running Flower that knows at least one worker."""

    url: str

    @classmethod
    def start(cls, cluster: Cluster, *options: str) -> Self:
        port = free_port()
        argv = ["celery", "-A", "workers.celery_app", "flower", "--address=127.0.0.1", f"--port={port}", *options]
        cluster.start("flower", argv, {"FLOWER_BASIC_AUTH": AUTH}).wait_log("Visit me at", 60)
        flower = cls(f"http://127.0.0.1:{port}")
        wait_until(lambda: flower.ask("/api/workers?refresh=1"), 60, "Flower knows the worker")
        return flower

    def ask(self, path: str, method: str = "GET") -> Any:
        """The reply's JSON; None for an error status or no reply."""
        try:
            return json.loads(self._read(path, method))
        except OSError:
            return None

    def page(self, path: str) -> str:
        """A page as HTML."""
        return self._read(path, "GET").decode()

    def _read(self, path: str, method: str) -> bytes:
        token = base64.b64encode(AUTH.encode()).decode()
        request = Request(self.url + path, method=method, headers={"Authorization": f"Basic {token}"})
        with urlopen(request, timeout=20) as reply:
            read: bytes = reply.read()
        return read

    def task(self, task_id: str) -> Any:
        """What Flower knows of the task; None if nothing."""
        return self.ask(f"/api/task/info/{task_id}")

    def wait_state(self, task_id: str, state: str, timeout: float = 30) -> None:
        """Wait until Flower shows the task in this state."""
        wait_until(lambda: (self.task(task_id) or {}).get("state") == state, timeout, f"{task_id} {state} in Flower")

    def status_without_auth(self, path: str, method: str = "GET") -> int:
        """The status of an anonymous request."""
        try:
            with urlopen(Request(self.url + path, method=method), timeout=20) as reply:
                return int(reply.status)
        except HTTPError as error:
            with error:
                return error.code
