"""A whole Simmer for one benchmark: gunicorn, Postgres with fsync, broker, workers, and an upstream of no weight."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.container import Container
from app.db.engine import Database
from app.db.migrate import upgrade
from app.settings import Settings
from app.stack.postgres import EmbeddedPostgres
from app.stack.valkey import EmbeddedValkey
from tests.cluster import Cluster, environment
from tests.embedded import Server
from tests.processes import Process, free_port

ROOT = Path(__file__).parents[1]
KEYS = 4
MODEL = "bench"


@dataclass(frozen=True)
class Stack:
    """What runs, and how to reach it. Start API and workers with `cluster`, other commands with `command()`."""

    folder: Path
    database_url: str
    broker_url: str
    upstream_url: str
    cluster: Cluster
    keys: Sequence[str]
    """Secrets of API keys that may do everything, without limits."""

    def command(self, name: str, argv: Sequence[str], **env: str) -> Process:
        """Start any command of the virtual environment; it ends with the stack."""
        return self.cluster.start(name, argv, env)


@contextmanager
def running(**settings: str) -> Iterator[Stack]:
    """Postgres, broker, upstream, and a migrated database with keys; nothing of Simmer runs yet.

    The settings are the product's defaults but for rates, which nobody is to meet, and the load shedding, which a
    closed loop of few clients does not need; `settings` are variables of the environment on top.
    """
    with tempfile.TemporaryDirectory(prefix="simmer-bench-") as name, ExitStack() as started:
        folder = Path(name)
        # Postgres may run as another user.
        folder.chmod(0o755)
        homes = {part: folder / part for part in ("postgres", "valkey", "logs")}
        for home in homes.values():
            home.mkdir()
        database = started.enter_context(Server(EmbeddedPostgres(homes["postgres"], free_port()), folder / "pg.log"))
        broker = started.enter_context(Server(EmbeddedValkey(homes["valkey"], free_port()), folder / "valkey.log"))
        upstream = free_port()
        models = folder / "models.toml"
        models.write_text(
            f'[upstreams.bench]\nbase_url = "http://127.0.0.1:{upstream}/v1"\n[models."*"]\nupstream = "bench"\n'
        )
        env = environment(database.url, broker.url, models)
        for test_only in ("LEASE", "HEARTBEAT_INTERVAL", "SWEEP_INTERVAL", "PURGE_INTERVAL", "REDISPATCH_AFTER"):
            del env[f"SIMMER_{test_only}"]
        cluster = started.enter_context(Cluster(homes["logs"], {**env, **settings}))
        argv = [sys.executable, "-m", "benchmarks.upstream", "--port", str(upstream)]
        cluster.start("upstream", argv).wait_log("ready", 10)
        keys = _prepare(database.url)
        yield Stack(folder, database.url, broker.url, f"http://127.0.0.1:{upstream}/v1", cluster, keys)


def _prepare(database_url: str) -> list[str]:
    settings = Settings(database_url=database_url)
    database = Database(settings)
    upgrade(database, timeout=10)
    database.close()
    keys = Container(settings).keys
    return [keys.create(f"bench {number}", ["responses:write", "responses:read"])[1] for number in range(KEYS)]
