"""Prompts, results and keys stand in Postgres alone: not in the broker, nor in Flower, nor in any log."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from sqlalchemy.engine import make_url

from app.container import Container
from app.db.engine import Database
from app.db.migrate import upgrade
from app.settings import Settings
from app.stack.postgres import EmbeddedPostgres
from tests.acceptance.conftest import SCOPES
from tests.acceptance.flower import Flower
from tests.cluster import Client, Cluster, Reply, environment
from tests.embedded import Server
from tests.event_stream import EventStream
from tests.processes import free_port
from tests.upstream.client import MockUpstream

CANARY = "canary-4f1d9c"
_BODY = re.compile(r'"body[\\"]+: [\\"]+([A-Za-z0-9+/]{4,}={0,2})')
_QUOTE = f"message='You said {CANARY}.'"


def test_canaries_stand_nowhere_but_in_the_database(
    client: Client, cluster: Cluster, upstream: MockUpstream, broker_url: str
) -> None:
    with _everything_sent_to(broker_url) as commands:
        cluster.system()
        cluster.worker()
        flower = Flower.start(cluster)
        fine = client.submit(f"{CANARY} fine")
        broken = client.submit(f"{CANARY} broken [[garbage]]", model="once")
        refused = client.submit(f"{CANARY} refused [[error code=invalid_prompt]]")
        timed_out = client.submit(f"{CANARY} slow [[hang]]", model="quick", metadata={"who": CANARY})
        cancelled = client.submit(f"{CANARY} cancelled [[hang]]")
        upstream.wait_for_call(f"{CANARY} cancelled", 20)
        client.cancel(cancelled)
        for job_id in (fine, broken, refused, timed_out, cancelled):
            client.wait(job_id)
        client.request("POST", "/v1/model/response", {"model": CANARY, "nonsense": CANARY})
        client.request("GET", f"/v1/{CANARY}?key={CANARY}")
        Client(client.url, client.key[:-1] + "x").request("GET", "/v1/model/response")
        flower.wait_state(fine, "SUCCESS")
        shown = json.dumps([flower.ask("/api/tasks"), flower.ask("/api/workers?refresh=1"), flower.task(fine)])
    places = {"broker": "\n".join(commands), "flower": shown, "logs": cluster.logs()}
    # The places were really looked at: the job's id stands in each.
    assert [name for name, content in places.items() if fine not in content] == []
    for secret in (CANARY, client.key):
        assert [name for name, content in places.items() if secret in content] == []
    assert CANARY in client.get(fine)["output"][0]["content"][0]["text"]


def test_flower_asks_for_its_password(client: Client, cluster: Cluster) -> None:
    cluster.worker()
    flower = Flower.start(cluster)
    assert [flower.status_without_auth(path) for path in ("/", "/api/tasks", "/workers")] == [401, 401, 401]


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A database server whose log is nobody else's, and that log. Jobs of the model `once` can't end there, and those
    of `refused` not begin.
    """
    folder = tmp_path_factory.mktemp("own-postgres")
    with Server(EmbeddedPostgres(folder, free_port()), folder / "log") as server:
        database = Database(Settings(database_url=server.url))
        upgrade(database, timeout=10)
        database.close()
        with psycopg.connect(server.url) as connection:
            connection.execute(
                "ALTER TABLE jobs ADD CONSTRAINT planted CHECK (model <> 'refused'"
                " AND (model <> 'once' OR status NOT IN ('completed', 'failed')))"
            )
        yield server.url, folder / "log"


@pytest.fixture(params=["text", "json"])
def talkative(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    own_postgres: tuple[str, Path],
    broker_url: str,
    models_file: Path,
) -> Iterator[Cluster]:
    """A cluster on that database which logs whatever it can, in either format."""
    folder = tmp_path / "talkative"
    folder.mkdir()
    told = {"SIMMER_LOG_LEVEL": "DEBUG", "SIMMER_LOG_FORMAT": request.param, "SIMMER_LEASE": "3"}
    with Cluster(folder, environment(own_postgres[0], broker_url, models_file, **told)) as made:
        yield made


def test_whatever_breaks_nobody_is_told_of_a_prompt(
    talkative: Cluster, own_postgres: tuple[str, Path], broker_url: str, upstream: MockUpstream
) -> None:
    """The database refuses to end a job, so that tasks end in tracebacks; the model server quotes prompts."""
    database_url, postgres_log = own_postgres
    settings = Settings(database_url=database_url)
    client = Client(talkative.api(), Container(settings).keys.create("secrets", SCOPES)[1])
    with _everything_sent_to(broker_url) as commands:
        talkative.system()
        worker = talkative.worker()
        crashed = client.submit(f"{CANARY} crashed", model="once", metadata={"who": CANARY})
        replies = [repr(reply) for reply in _refused(client)]
        replies += map(json.dumps, [*_quoted(client), _quoted_in_a_stream(client)])
        client.submit(f"{CANARY} drained [[hang]]")
        upstream.wait_for_call(f"{CANARY} drained", 20)
        for name in ("jobs", "system"):
            talkative.started(name).wait_log("Traceback", 30)
        worker.stop()
    places = {
        "broker": "\n".join(commands),
        "logs": talkative.logs(),
        "replies": "\n".join(replies),
        "postgres": postgres_log.read_text(),
    }
    traces = {"broker": crashed, "logs": "CheckViolation", "replies": "upstream", "postgres": "violates check"}
    assert [name for name, trace in traces.items() if trace not in places[name]] == []
    passwords = [make_url(url).password for url in (database_url, broker_url)]
    for secret in (CANARY, client.key, *filter(None, passwords)):
        assert [name for name, content in places.items() if secret in content] == []


def _quoted(client: Client) -> Iterator[Any]:
    """The errors of jobs whose prompts the model server has quoted in its own."""
    metadata = {"who": CANARY}
    quoting = ["error status=400", "status 401", "status 503", "fail-first 9 status=500"]
    ids = [client.submit(f"{CANARY} [[{each} {_QUOTE}]]", metadata=metadata) for each in quoting]
    ids.append(client.submit(f"{CANARY} [[failed {_QUOTE}]]", model="responses-1", metadata=metadata))
    for job_id in ids:
        yield client.wait(job_id, "failed")["error"]


def _quoted_in_a_stream(client: Client) -> Any:
    """The error at the end of such a stream."""
    inputs = [{"role": "user", "texts": [{"text": f"{CANARY} [[stream-error {_QUOTE}]]"}]}]
    body = {"model": "gpt-4.1", "stream": True, "inputs": inputs}
    with EventStream(client, "POST", "/v1/model/response", body) as stream:
        *_, last = stream.events()
    assert last.name == "response.failed"
    return last.data["response"]["error"]


def _refused(client: Client) -> list[Reply]:
    """Replies to requests that fail with a canary in everything."""
    own = {"model": "gpt-4.1", "metadata": {"who": CANARY}}
    said = {"inputs": [{"role": "user", "texts": [{"text": CANARY}]}]}
    quoted = {"inputs": [{"role": "user", "texts": [{"text": f"[[error status=400 message='{CANARY}']]"}]}]}
    asked = [
        (500, "POST", "/v1/model/response", own | said | {"model": "refused", "background": True}),
        (502, "POST", "/v1/model/response", own | quoted),
        (400, "POST", "/v1/model/response", own | said | {"nonsense": CANARY}),
        (400, "POST", "/v1/responses", own | {"input": CANARY, "previous_response_id": CANARY}),
        (400, "GET", f"/v1/responses?after={CANARY}", None),
        (404, "GET", f"/v1/responses/{CANARY}", None),
        (404, "GET", f"/{CANARY}?{CANARY}={CANARY}", None),
        (405, "PUT", f"/v1/responses/{CANARY}", own),
    ]
    replies = [client.request(method, path, body) for _, method, path, body in asked]
    assert [reply.status for reply in replies] == [status for status, *_ in asked]
    return replies


@contextmanager
def _everything_sent_to(broker_url: str) -> Iterator[list[str]]:
    """The commands that anybody sends to the broker while the block runs."""
    seen: list[str] = []
    # Nobody may say a word for long, while processes start.
    connection = redis.Redis.from_url(broker_url, socket_timeout=None)
    with connection.monitor() as monitor:
        listener = threading.Thread(
            target=lambda: seen.extend(_opened(command["command"]) for command in _until_end(monitor)), daemon=True
        )
        listener.start()
        try:
            yield seen
        finally:
            connection.echo("end-of-test")
            listener.join(30)
        assert not listener.is_alive()


def _until_end(monitor: redis.client.Monitor) -> Iterator[dict[str, str]]:
    for command in monitor.listen():
        if "end-of-test" in command["command"]:
            return
        yield command


def _opened(command: str) -> str:
    """The command with what it wraps: kombu has the bodies of messages and events in base64."""
    bodies = (base64.b64decode(body).decode(errors="replace") for body in _BODY.findall(command))
    return "\n".join([command, *bodies])
