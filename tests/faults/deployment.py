"""A whole Simmer of real processes, any of which, and any link between two of which, a test may break and mend."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg
import redis

from app.container import Container
from app.db.migrate import upgrade
from app.settings import Settings
from app.stack.valkey import EmbeddedValkey
from tests.cluster import Client, Cluster, environment
from tests.embedded import Server
from tests.faults.full_disk import FillablePostgres
from tests.faults.proxy import Proxy
from tests.processes import Process, free_port
from tests.upstream.client import MockUpstream

SCOPES = ["responses:read", "responses:write"]
KEYS = ("ada", "bob", "cleo", "dan")
APIS = ("api1", "api2")
WORKERS = ("jobs1", "jobs2")
BEATS = ("beat1", "beat2")
SYSTEM = "system"
NODES = (*APIS, *WORKERS, SYSTEM, *BEATS)
PARTS = ("postgres", "broker", "upstream")

LEASE = 6.0
"""Seconds; the other intervals stand in `tests.cluster.environment`."""
POISON_ATTEMPTS = 2
"""How often a job of the model `poison` may kill its worker (`tests.faults.fragile_app`)."""

_MODELS = """
[upstreams.mock]
base_url = "{base_url}"
[models."*"]
upstream = "mock"
[models.quick]
upstream = "mock"
soft_time_limit = 1
time_limit = 2
[models.poison]
upstream = "mock"
max_attempts = {poison_attempts}
"""


@dataclass
class Node:
    """One machine: its process, which can be taken down and brought back, and its links to the parts it speaks to."""

    name: str
    links: Mapping[str, Proxy]
    env: Mapping[str, Any]
    _start: Callable[["Node"], Process]
    _process: Process | None = None

    @property
    def process(self) -> Process:
        assert self._process, f"{self.name} was never started"
        return self._process

    def start(self, **env: str) -> None:
        """Start it, with `env` added to its environment for as long as it runs."""
        usual, self.env = self.env, {**self.env, **env}
        try:
            self._process = self._start(self)
        finally:
            self.env = usual

    def kill(self) -> None:
        """As when its machine loses power."""
        self.process.power_off()

    def freeze(self) -> None:
        self.process.freeze()

    def resume(self) -> None:
        self.process.resume()

    def terminate(self) -> int:
        """Stop it as an administrator does, and wait until it is gone; return its exit code."""
        self.process.kill(signal.SIGTERM)
        return self.process.wait(120)

    def heal(self) -> None:
        """Mend its links, wake it, or start it again, whichever is needed."""
        for link in self.links.values():
            link.pass_through()
        if self.process.running:
            self.resume()
        else:
            self.process.stop()
            self.start()


class Deployment:
    """Two APIs, two job workers, a system worker and two beats on a Postgres, a broker and an upstream of their own.

    A context manager: everything is up on entry, and nothing is left on exit.
    """

    def __init__(self, folder: Path, *, proxied: tuple[str, ...] = NODES, **settings: str) -> None:
        """Everything lies in `folder`. The nodes in `proxied` speak through proxies; `settings` are variables of the
        environment, `SIMMER_...`.
        """
        self.folder = folder
        self.upstream = MockUpstream(folder)
        self.disk = FillablePostgres(folder / "db", free_port())
        self.postgres = Server(self.disk, folder / "postgres.log")
        self.broker = Server(EmbeddedValkey(folder / "broker", free_port()), folder / "valkey.log")
        self.nodes: dict[str, Node] = {}
        self.secrets: dict[str, str] = {}
        self._proxied = proxied
        self._settings = {"SIMMER_LEASE": f"{LEASE:g}", **settings}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for part in (self.upstream, self.postgres, self.broker):
                stack.enter_context(part)
            self._prepare()
            stack.callback(self.container.database.close)
            self.cluster = stack.enter_context(Cluster(self.folder, self._environment()))
            self.nodes = {name: self._node(name, stack) for name in NODES}
            with ThreadPoolExecutor(len(NODES)) as threads:
                list(threads.map(lambda node: node.start(), self.nodes.values()))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Frozen servers can't be stopped in order.
        self.broker.process.resume()
        self.postgres.process.resume()
        self._stack.close()

    @property
    def urls(self) -> list[str]:
        """Where the APIs answer."""
        return [str(self.nodes[name].env["URL"]) for name in APIS]

    @property
    def workers(self) -> list[Node]:
        return [self.nodes[name] for name in WORKERS]

    def client(self, api: str = "api1", key: str = KEYS[0]) -> Client:
        """One key's view through one API."""
        return Client(self.nodes[api].env["URL"], self.secrets[key])

    def backlog(self, queue: str) -> int:
        """How many messages wait in a queue of the broker."""
        with redis.Redis.from_url(self.broker.url) as broker:
            return int(broker.llen(queue))

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection to the database past all proxies; each statement commits."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            yield connection

    def heal(self) -> None:
        """Bring everything back that is down, frozen or cut off."""
        self.upstream.clear_mode()
        for server in (self.postgres, self.broker):
            if server.process.running:
                server.process.resume()
            server.come_back()
        with ThreadPoolExecutor(len(NODES)) as threads:
            list(threads.map(lambda node: node.heal(), self.nodes.values()))

    @contextmanager
    def frozen(self, *processes: Process) -> Iterator[None]:
        """The processes do nothing while the block runs."""
        for process in processes:
            process.freeze()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def _prepare(self) -> None:
        self.container = Container(Settings(database_url=self.postgres.url, broker_url=self.broker.url))
        upgrade(self.container.database, timeout=30)
        self.secrets = {name: self.container.keys.create(name, SCOPES)[1] for name in KEYS}

    def _environment(self) -> dict[str, str]:
        models = self._models("direct", self.upstream.base_url)
        return environment(self.postgres.url, self.broker.url, models, **self._settings)

    def _models(self, name: str, base_url: str) -> Path:
        path = self.folder / f"models-{name}.toml"
        path.write_text(_MODELS.format(base_url=base_url, poison_attempts=POISON_ATTEMPTS))
        return path

    def _node(self, name: str, stack: ExitStack) -> Node:
        env: dict[str, Any] = {"URL": f"http://127.0.0.1:{free_port()}"}
        links = {}
        if name in self._proxied:
            targets = dict(zip(PARTS, (self.postgres.url, self.broker.url, self.upstream.base_url), strict=True))
            links = {part: stack.enter_context(_proxy(url)) for part, url in targets.items()}
            through = {part: _through(links[part], url) for part, url in targets.items()}
            env["SIMMER_DATABASE_URL"], env["SIMMER_BROKER_URL"] = through["postgres"], through["broker"]
            env["SIMMER_MODELS"] = os.fspath(self._models(name, through["upstream"]))
        return Node(name, links, env, self._starter(name))

    def _starter(self, name: str) -> Callable[[Node], Process]:
        def start(node: Node) -> Process:
            if name in APIS:
                self.cluster.api(name=name, port=urlsplit(node.env["URL"]).port, **node.env)
                return self.cluster.started(name)
            if name in BEATS:
                return self.cluster.beat(name, **node.env)
            if name == SYSTEM:
                return self.cluster.worker(name, queue=SYSTEM, concurrency=20, **node.env)
            return self.cluster.worker(name, app="tests.faults.fragile_app", **node.env)

        return start


def _proxy(url: str) -> Proxy:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return Proxy(parts.hostname, parts.port)


def _through(proxy: Proxy, url: str) -> str:
    """The same address, but for the port."""
    return url.replace(f":{urlsplit(url).port}", f":{proxy.port}", 1)
