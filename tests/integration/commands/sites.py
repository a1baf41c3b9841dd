"""A site in which nothing is wrong, but what a test plants."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from app.adapters.inspection import Node, NodeInspector
from app.adapters.queue import ALL_QUEUES
from app.container import Container
from tests.integration.commands.running import Run

MODELS = """
[upstreams.mock]
base_url = "{base_url}"
{more}
[models."{name}"]
upstream = "{upstream}"
"""
NODES = [
    Node("celerybeat@here"),
    Node("jobs@here", ("priority", "default", "flex"), 1000, 7200),
    Node("others@here", ("sync", "system", "webhooks"), 20, 7200),
]


@dataclass
class Site:
    """What a test may break: the environment, the rows, the broker, the models file, who answers."""

    run: Run
    env: dict[str, str]
    container: Container
    monkeypatch: pytest.MonkeyPatch
    base_url: str
    broker: redis.Redis

    def set(self, **settings: object) -> None:
        self.env.update({f"SIMMER_{name.upper()}": str(value) for name, value in settings.items()})

    def nodes(self, *nodes: Node) -> None:
        """These answer when they are asked, and no others."""
        self.monkeypatch.setattr(NodeInspector, "nodes", lambda _: list(nodes))

    def models(self, *, base_url: str = "", more: str = "", name: str = "mock-small", upstream: str = "mock") -> None:
        path = Path(self.env["SIMMER_MODELS"])
        path.write_text(MODELS.format(base_url=base_url or self.base_url, more=more, name=name, upstream=upstream))

    def execute(self, statement: str) -> None:
        """As somebody else than Simmer."""
        with psycopg.connect(self.env["SIMMER_DATABASE_URL"], autocommit=True) as connection:
            connection.execute(statement)

    def without(self, *queues: str) -> list[Node]:
        """The nodes as they would be if nobody took from these queues."""
        return [
            Node(node.name, tuple(q for q in node.queues if q not in queues), node.slots, node.visibility_timeout)
            for node in NODES
        ]


assert {queue for node in NODES for queue in node.queues} == set(ALL_QUEUES)


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server whose every answer has this status; its base URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not on stderr."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join(10)
