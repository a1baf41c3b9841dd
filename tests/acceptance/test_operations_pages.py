"""The commands of docs/operations, run as an administrator would: on a second machine, on a backup, against Flower."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app.container import Container
from app.settings import Settings
from app.stack.accounts import server_account
from app.stack.postgres_binaries import bin_folder
from tests.acceptance.conftest import SCOPES
from tests.acceptance.flower import AUTH, Flower
from tests.cluster import Client, Cluster, environment
from tests.conftest import fresh_broker, fresh_database, write_models
from tests.fences import shell
from tests.processes import Process, wait_until
from tests.upstream.client import MockUpstream

BIN = Path(sys.executable).parent
TIMEOUT = 90.0
SECOND = "A worker on a second machine"
CLEAN = ["env", "-i"]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str, upstream_server: MockUpstream
) -> Iterator[Cluster]:
    """The first machine: everything but a job worker."""
    folder = tmp_path_factory.mktemp("operations")
    with fresh_database(postgres) as database_url:
        env = environment(database_url, fresh_broker(valkey), write_models(folder, upstream_server))
        with Cluster(folder, env) as made:
            made.system()
            made.worker("sync", queue="sync")
            made.webhooks()
            yield made


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Client:
    container = Container(Settings(database_url=cluster.env["SIMMER_DATABASE_URL"]))
    key = container.keys.create("operations", SCOPES)[1]
    container.database.close()
    return Client(cluster.api(), key)


def command(script: str, env: Mapping[str, str], folder: Path) -> list[str]:
    """In bash, with these variables alone."""
    path = f"{BIN}:{bin_folder(server_account())}:/usr/bin:/bin"
    given = {"PATH": path, "HOME": str(folder), **env}
    return [*CLEAN, *(f"{name}={value}" for name, value in given.items()), "bash", "-euo", "pipefail", "-c", script]


def run(script: str, env: Mapping[str, str], folder: Path) -> str:
    """What it prints."""
    argv = command(script, env, folder)
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def moved(script: str, env: Mapping[str, str]) -> str:
    """With the addresses of this machine."""
    places = {
        "postgresql://simmer:PASSWORD@db.internal:5432/simmer": env["SIMMER_DATABASE_URL"],
        "redis://:PASSWORD@broker.internal:6379/0": env["SIMMER_BROKER_URL"],
        "/etc/simmer/models.toml": env["SIMMER_MODELS"],
    }
    for written, here in places.items():
        script = script.replace(written, here)
    return script


def test_a_second_machine_takes_jobs_with_nothing_but_the_variables_of_the_page(
    cluster: Cluster, client: Client, upstream: MockUpstream, tmp_path: Path
) -> None:
    check, start, ask = (moved(block, cluster.env) for block in shell("operations/scale.md", SECOND))
    exports = "\n".join(line for line in check.splitlines() if line.startswith("export "))
    first = cluster.worker("first", queue="priority,default,flex")
    checked = run(check, {}, tmp_path)
    assert "BROKEN" not in checked
    job = client.submit("runs on the second machine [[gate second]]")
    upstream.wait_for_call("runs on the second machine", 30)
    name = f"jobs@{socket.gethostname()}"
    with Process(command(f"{exports}\n{start}", {}, tmp_path), log=tmp_path / "second.log", cwd=tmp_path) as second:
        # Celery writes its own start line at INFO alone; Simmer's level is the settings'.
        wait_until(lambda: name in _pinged(exports, tmp_path), TIMEOUT, "the second machine answers")
        asked = run(f"{exports}\n{ask}", {}, tmp_path)
        assert all(queue in asked for queue in (name, "priority", "default", "flex"))
        first.power_off()
        upstream.wait_for_call("runs on the second machine", TIMEOUT, attempt=2)
        upstream.open_gate("second")
        assert client.wait(job, "completed")["attempts"] == 2
        assert client.wait(client.submit("and this one"), "completed")["attempts"] == 1
        assert second.running


def _pinged(exports: str, folder: Path) -> str:
    script = f"{exports}\ncelery -A workers.celery_app inspect ping --json || true"
    return run(script, {}, folder)


def test_doctor_runs_as_the_page_says(cluster: Cluster, client: Client, tmp_path: Path) -> None:
    worker = cluster.worker("doctored", queue="priority,default,flex")
    [block] = shell("operations/troubleshooting.md", "Troubleshoot by symptom")
    assert "BROKEN" not in run(block, cluster.env, tmp_path)
    worker.stop()


def test_flower_s_commands_look_stop_and_empty(
    cluster: Cluster, client: Client, upstream: MockUpstream, tmp_path: Path
) -> None:
    """The three blocks of docs/operations/flower.md, on a worker that they then have stopped."""
    if shutil.which("curl") is None:
        pytest.skip("NOT RUN: the commands of docs/operations/flower.md, since there is no curl")
    worker = cluster.worker("flowered", queue="priority,default,flex")
    flower = Flower.start(cluster)
    wait_until(lambda: (flower.ask("/api/workers?status=1") or {}).get("flowered@local"), TIMEOUT, "Flower sees it")
    env = {"FLOWER_BASIC_AUTH": AUTH, "FLOWER_URL": flower.url}
    [look], [stop], [empty] = (
        [block.replace("jobs@host", "flowered@local") for block in shell("operations/flower.md", heading)]
        for heading in ("See what a worker holds", "Stop a job", "Empty a worker")
    )
    job = client.submit("looked at [[hang]]")
    upstream.wait_for_call("looked at", 30)
    held = json.loads(run(look, env, tmp_path))["flowered@local"]
    assert [task["id"] for task in held["active"]] == [job]
    run(stop, {**env, "id": job}, tmp_path)
    client.wait(job, "cancelled")
    run(empty, env, tmp_path)
    assert worker.wait(TIMEOUT) == 0, worker.output()


@pytest.mark.skipif(not (bin_folder(server_account()) / "pg_dump").exists(), reason="NOT RUN: there is no pg_dump")
def test_a_backup_brings_back_results_keys_and_queued_jobs(
    cluster: Cluster, client: Client, empty_database_url: str, valkey: str, upstream: MockUpstream, tmp_path: Path
) -> None:
    worker = cluster.worker("backed-up", queue="priority,default,flex")
    done = client.submit("done before the backup")
    client.wait(done, "completed")
    running = client.submit("runs at the backup [[gate backup]]")
    upstream.wait_for_call("runs at the backup", 30)
    worker.power_off()
    waiting = client.submit("waits at the backup")
    (backup,) = shell("operations/backup.md", "Back up")
    (restore,) = shell("operations/backup.md", "Restore")
    run(backup, cluster.env, tmp_path)
    upstream.open_gate("backup")
    env = {**cluster.env, "SIMMER_DATABASE_URL": empty_database_url, "SIMMER_BROKER_URL": fresh_broker(valkey)}
    with Cluster(tmp_path, env) as restored:
        # Before the start of anything, as the page has it; then the doctor finds nobody at work, and says so.
        run(restore.replace("simmer doctor", "simmer doctor || true"), env, tmp_path)
        restored.system()
        restored.worker("restored")
        again = Client(restored.api(), client.key)
        assert again.get(done)["status"] == "completed"
        assert again.wait(waiting, "completed")["attempts"] == 1
        assert again.wait(running, "completed", timeout=TIMEOUT)["attempts"] == 2
