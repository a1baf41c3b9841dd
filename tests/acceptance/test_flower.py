"""What docs/operations/flower.md has administrators do, through Flower's own HTTP API, and what became of the rows."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.container import Container
from app.domain.jobs import BACKGROUND_QUEUES
from app.settings import Settings
from tests.acceptance.conftest import SCOPES
from tests.acceptance.flower import AUTH, Flower
from tests.cluster import Client, Cluster, environment
from tests.conftest import fresh_broker, fresh_database, write_models
from tests.processes import Process, free_port, wait_until
from tests.upstream.client import MockUpstream

ENCRYPTION_KEY = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
ONLINE, DRAIN = 60.0, 30.0
TABLE = "/tasks/datatable?draw=1&start=0&length=10&order[0][column]=0&order[0][dir]=desc&columns[0][data]=name"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str, upstream_server: MockUpstream
) -> Iterator[Cluster]:
    """A broker with a password, an encryption key, and one job worker with two slots."""
    folder = tmp_path_factory.mktemp("flower")
    with fresh_database(postgres) as database_url:
        env = environment(database_url, fresh_broker(valkey), write_models(folder, upstream_server))
        with Cluster(folder, {**env, "SIMMER_ENCRYPTION_KEYS": ENCRYPTION_KEY, "SIMMER_LEASE": "60"}) as made:
            made.worker("first", queue=",".join(BACKGROUND_QUEUES), concurrency=2)
            yield made


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Client:
    container = Container(Settings(database_url=cluster.env["SIMMER_DATABASE_URL"]))
    key = container.keys.create("flower", SCOPES)[1]
    container.database.close()
    return Client(cluster.api(), key)


@pytest.fixture(scope="module")
def flower(cluster: Cluster) -> Flower:
    return Flower.start(cluster)


def asked(flower: Flower, worker: str) -> Any:
    """What a worker says of itself."""
    return flower.ask(f"/api/workers?refresh=1&workername={worker}@local")[f"{worker}@local"]


def names(flower: Flower, worker: str) -> set[str]:
    """The ids of the tasks that a worker says it runs."""
    return {task["id"] for task in asked(flower, worker)["active"]}


def searched(flower: Flower, words: str) -> list[Any]:
    return list(flower.ask(f"{TABLE}&search[value]={words}")["data"])


@pytest.fixture
def second(cluster: Cluster, flower: Flower) -> Iterator[Process]:
    """Another worker, which Flower knows."""
    worker = cluster.worker("second", queue=",".join(BACKGROUND_QUEUES), concurrency=2)
    wait_until(lambda: (flower.ask("/api/workers?status=1") or {}).get("second@local"), ONLINE, "Flower sees it")
    yield worker
    worker.stop()


def test_a_job_is_found_by_its_id_and_its_worker_shows_that_it_holds_it(
    client: Client, flower: Flower, upstream: MockUpstream
) -> None:
    job = client.submit("held [[gate held]]")
    upstream.wait_for_call("held", 30)
    flower.wait_state(job, "STARTED")
    assert flower.task(job)["name"] == "jobs.run"
    assert flower.task(job)["worker"] == "first@local"
    assert [task["uuid"] for task in searched(flower, job)] == [job]
    assert job in flower.page(f"/task/{job}")
    assert job in names(flower, "first")
    upstream.open_gate("held")
    client.wait(job, "completed")
    flower.wait_state(job, "SUCCESS")


def test_a_task_s_only_argument_is_the_job_s_id(client: Client, flower: Flower) -> None:
    job = client.submit("a prompt that must not be seen")
    client.wait(job, "completed")
    flower.wait_state(job, "SUCCESS")
    shown = flower.task(job)
    assert (shown["args"], shown["kwargs"], shown["result"]) == (f"('{job}',)", "{}", "None")


def test_no_page_shows_a_secret(client: Client, cluster: Cluster, flower: Flower) -> None:
    job = client.submit("canary-77c1")
    client.wait(job, "completed")
    flower.wait_state(job, "SUCCESS")
    flower.ask("/api/workers?refresh=1")
    pages = ["/", "/workers", "/worker/first@local", "/tasks", f"/task/{job}", "/broker", "/api/workers", "/metrics"]
    shown = "\n".join(flower.page(page) for page in [*pages, "/api/tasks", TABLE])
    passwords = [re.split("[:@]", cluster.env[f"SIMMER_{name}_URL"])[2] for name in ("DATABASE", "BROKER")]
    for secret in (*passwords, client.key, ENCRYPTION_KEY.partition(":")[2], AUTH.partition(":")[2], "canary-77c1"):
        assert len(secret) > 5
        assert secret not in shown
    assert "redis://:**@" in shown


def test_who_has_no_password_gets_nothing_and_does_nothing(client: Client, flower: Flower) -> None:
    job = client.submit("stays")
    for path in ("/", "/tasks", "/broker", "/worker/first@local", f"/task/{job}", f"/api/task/info/{job}", TABLE):
        assert flower.status_without_auth(path) == 401, path
    for path in (f"/api/task/revoke/{job}", "/api/worker/shutdown/first@local"):
        assert flower.status_without_auth(path, "POST") == 401, path
    client.wait(job, "completed")


@pytest.mark.parametrize("given", [(), ("--port=0", "--basic-auth=")])
def test_flower_does_not_start_without_a_login(cluster: Cluster, given: tuple[str, ...]) -> None:
    port = f"--port={free_port()}"
    started = cluster.start(f"open-{len(given)}", ["celery", "-A", "workers.celery_app", "flower", port, *given])
    assert started.wait(60) == 1
    assert "Set FLOWER_BASIC_AUTH=user:password" in started.output()


def test_a_login_for_flower_may_stand_on_its_command_line(cluster: Cluster) -> None:
    given = [f"--port={free_port()}", "--address=127.0.0.1", "--basic-auth=admin:secret"]
    cluster.start("line", ["celery", "-A", "workers.celery_app", "flower", *given]).wait_log("Visit me at", ONLINE)


def test_a_read_only_flower_stops_nothing(cluster: Cluster, client: Client) -> None:
    flower = Flower.start(cluster, "--read-only")
    job = client.submit("read only")
    for path in (f"/api/task/revoke/{job}?terminate=true", "/api/worker/shutdown/first@local"):
        assert flower.ask(path, "POST") is None
    client.wait(job, "completed")


def test_a_terminate_ends_a_running_job_as_cancelled(client: Client, flower: Flower, upstream: MockUpstream) -> None:
    job = client.submit("terminated [[hang]]")
    upstream.wait_for_call("terminated", 30)
    flower.wait_state(job, "STARTED")
    assert flower.ask(f"/api/task/revoke/{job}?terminate=true", "POST")
    assert client.wait(job, "cancelled")["cancelled_at"]
    upstream.wait_closed("terminated", 10)
    flower.wait_state(job, "REVOKED")


def test_a_revoke_without_terminate_lets_a_running_job_end(
    client: Client, flower: Flower, upstream: MockUpstream
) -> None:
    job = client.submit("revoked while it runs [[gate revoked]]")
    upstream.wait_for_call("revoked while it runs", 30)
    assert flower.ask(f"/api/task/revoke/{job}", "POST")
    upstream.open_gate("revoked")
    client.wait(job, "completed")
    flower.wait_state(job, "SUCCESS")


def test_a_revoked_job_that_waits_is_cancelled_when_its_turn_comes(
    client: Client, flower: Flower, upstream: MockUpstream
) -> None:
    running = [client.submit(f"fills {number} [[gate fills]]") for number in range(2)]
    for number in range(2):
        upstream.wait_for_call(f"fills {number}", 30)
    waiting = client.submit("waits, and is revoked")
    assert flower.ask(f"/api/task/revoke/{waiting}", "POST")
    assert client.get(waiting)["status"] == "queued"
    upstream.open_gate("fills")
    client.wait(waiting, "cancelled")
    for job in running:
        client.wait(job, "completed")
    assert not upstream.calls("waits, and is revoked")


def test_a_worker_is_emptied_and_stopped_without_a_second_try_of_any_job(
    client: Client, flower: Flower, second: Process, upstream: MockUpstream
) -> None:
    held = {client.submit(f"before {number} [[gate before]]") for number in range(4)}
    for number in range(4):
        upstream.wait_for_call(f"before {number}", 30)
    kept = names(flower, "second")
    assert len(kept) == 2
    for queue in BACKGROUND_QUEUES:
        assert flower.ask(f"/api/worker/queue/cancel-consumer/second@local?queue={queue}", "POST")
    upstream.open_gate("before")
    for job in held:
        assert client.wait(job, "completed")["attempts"] == 1
    wait_until(lambda: asked(flower, "second")["active_queues"] == [], DRAIN, "it has left all queues")
    later = [client.submit(f"after {number}") for number in range(4)]
    for job in later:
        client.wait(job, "completed")
        flower.wait_state(job, "SUCCESS")
    assert {flower.task(job)["worker"] for job in later} == {"first@local"}
    assert not names(flower, "second")
    assert flower.ask("/api/worker/shutdown/second@local", "POST")
    assert second.wait(DRAIN) == 0, second.output()


def test_a_shutdown_hands_on_what_does_not_end_in_time(
    client: Client, flower: Flower, second: Process, upstream: MockUpstream
) -> None:
    jobs = [client.submit(f"handed {number} [[gate handed]]") for number in range(4)]
    for number in range(4):
        upstream.wait_for_call(f"handed {number}", 30)
    moved = names(flower, "second")
    assert flower.ask("/api/worker/shutdown/second@local", "POST")
    assert second.wait(DRAIN) == 0, second.output()
    upstream.open_gate("handed")
    tries = {job: client.wait(job, "completed")["attempts"] for job in jobs}
    assert tries == {job: 2 if job in moved else 1 for job in jobs}
