"""An upgrade under load: the processes of the release before run on, on the new schema and beside new processes."""

import json
import signal
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import UUID

import psycopg
import pytest

from app.db.revision import head
from app.domain.ids import parse_public_id
from tests.acceptance.rollout import DONE, OPENAI, Balanced, Load, read_events
from tests.acceptance.test_rolling_restart import together
from tests.cluster import Client, Cluster, environment
from tests.processes import Process, wait_until

RELEASES = Path(__file__).parents[1] / "data" / "releases"
"""The release before, as CONTRIBUTING.md says; the file has the name of its schema."""
DEADLINE = 60.0
OLD, NEW = "jobs-old", "jobs-new"
MARK = "This is the release before."


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The code of the release before."""
    [packed] = RELEASES.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "release", filter="data")
    with (tmp_path / "release/app/__init__.py").open("a") as file:
        file.write(f"\nimport sys\nprint({MARK!r}, file=sys.stderr)\n")
    return tmp_path / "release"


@pytest.fixture
def old(
    tmp_path: Path, release: Path, empty_database_url: str, broker_url: str, models_file: Path
) -> Iterator[Cluster]:
    folder = tmp_path / "old"
    folder.mkdir()
    with Cluster(folder, environment(empty_database_url, broker_url, models_file), release) as made:
        yield made


@pytest.fixture
def new(tmp_path: Path, old: Cluster) -> Iterator[Cluster]:
    """On the same database and the same broker."""
    folder = tmp_path / "new"
    folder.mkdir()
    with Cluster(folder, old.env) as made:
        yield made


def simmer(cluster: Cluster, *words: str) -> str:
    """Run this release's command; return what it says."""
    process = cluster.start("simmer", ["python", "-m", "app.cli", *words])
    assert process.wait(DEADLINE) == 0, process.output()
    return process.output()


def revision(url: str) -> str:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert found
    return str(found[0])


def start(urls: dict[str, str], cluster: Cluster, worker: str) -> None:
    together(lambda: urls.update({worker: cluster.api()}), lambda: cluster.worker(worker, SIMMER_DRAIN_TIMEOUT="20"))


def everybody_runs(url: str, load: Load) -> bool:
    """Whether both releases' workers have completed jobs of this load, streams and others."""
    asked = "SELECT DISTINCT split_part(worker, '@', 1), stream FROM jobs WHERE status = 'completed' AND id = ANY(%s)"
    ids: list[UUID | None] = [parse_public_id(job_id) for job_id in load.created]
    with psycopg.connect(url) as connection:
        runs = set(connection.execute(asked, [ids]).fetchall())
    return runs == {(worker, stream) for worker in (OLD, NEW) for stream in (False, True)}


def stream_of(url: str, key: str, job_id: str) -> list[Any]:
    frames = list(Balanced([url], key).frames("GET", f"{OPENAI}/{job_id}?stream=true"))
    assert frames[-1] == DONE
    return list(read_events(frames))


def more(load: Load, count: int = 20) -> None:
    enough = len(load.created) + count
    wait_until(lambda: len(load.created) >= enough, DEADLINE, f"{count} more jobs")


def stop(process: Process) -> None:
    process.kill(signal.SIGTERM)
    assert process.wait(DEADLINE) == 0, process.output()


def ready(url: str) -> bool:
    with urlopen(f"{url}/readyz", timeout=DEADLINE) as reply:
        return bool(json.load(reply)["migrations"] == "ok")


def check_jobs(client: Client, created: list[str]) -> None:
    """All have completed at the first attempt, and there are no others."""
    for job_id in created:
        client.wait(job_id, timeout=DEADLINE)
    jobs = list(client.all())
    assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1)}
    assert sorted(job["id"] for job in jobs) == sorted(created)


@pytest.mark.timeout(300)
def test_the_release_before_works_on_the_new_schema_and_beside_new_processes(old: Cluster, new: Cluster) -> None:
    database_url = old.env["SIMMER_DATABASE_URL"]
    simmer(old, "migrate")
    assert revision(database_url) == next(RELEASES.iterdir()).name.partition(".")[0]
    key = json.loads(simmer(old, "keys", "create", "--name", "upgrade", "--json").rpartition(MARK)[2])["key"]
    urls: dict[str, str] = {}
    start(urls, old, OLD)
    with Load([urls[OLD]], key, "by the old release") as by_old:
        wait_until(lambda: len(by_old.done) == 10, DEADLINE, "every kind of request")
        simmer(new, "migrate")
        assert revision(database_url) == head()
        more(by_old)
        start(urls, new, NEW)
        assert ready(urls[NEW])
        with Load([urls[NEW]], key, "by the new release") as by_new:
            wait_until(partial(everybody_runs, database_url, by_old), DEADLINE, "jobs of the old one, by both")
            wait_until(partial(everybody_runs, database_url, by_new), DEADLINE, "jobs of the new one, by both")
            for job_id in by_old.streamed[-1], by_new.streamed[-1]:
                assert stream_of(urls[OLD], key, job_id) == stream_of(urls[NEW], key, job_id)
            by_old.stop()
            together(lambda: stop(old.started("api")), lambda: stop(old.started(OLD)))
            more(by_new)
    for load in (by_old, by_new):
        assert not load.failures, load.failures[:5]
    # Else this would be an upgrade from a release to itself.
    assert (MARK in old.started("api").output(), MARK in old.started(OLD).output()) == (True, True)
    assert MARK not in new.logs()
    check_jobs(Client(urls[NEW], key), by_old.created + by_new.created)
