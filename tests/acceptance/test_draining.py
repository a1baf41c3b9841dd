"""What an API process that gets a SIGTERM does for those who are connected to it."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from app.adapters.doorbell import channel
from app.container import Container
from app.domain.ids import parse_public_id
from app.factory import create_app
from app.settings import Settings
from tests.acceptance.bad_inputs import raw
from tests.acceptance.conftest import SCOPES
from tests.acceptance.rollout import DONE, OPENAI, Balanced, read_events
from tests.cluster import Cluster, environment
from tests.conftest import fresh_broker, fresh_database, write_models
from tests.processes import Process, wait_until
from tests.upstream.client import MockUpstream

GRACE = "--graceful-timeout 9"
DEADLINE = 30.0
BACKLOG = 40
WAIT, STREAM, SYNC, SYNC_STREAM = "wait", "stream", "sync", "sync-stream"
"""Names of clients, and of the models that they ask for."""


@dataclass
class Departure:
    """A process that leaves, and what its clients saw."""

    url: str
    process: Process
    container: Container
    key: str
    order: list[str] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)

    def hear(self, who: str, answer: Callable[[], Any]) -> None:
        """Note what a client gets, and when in the order of all."""
        try:
            self.answers[who] = answer()
        except (OSError, HTTPException, AssertionError, ValueError) as error:
            self.answers[who] = error
        self.order.append(who)

    def connect(self) -> HTTPConnection:
        """A connection that has served a request, and is kept alive."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=DEADLINE)
        assert self.ask(connection, "GET", "/v1/models")[:2] == (200, None)
        return connection

    def ask(self, connection: HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, str | None, Any]:
        """Status, Connection header if it says close, and body."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request(method, path, body and json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, "close" if response.will_close else None, json.load(response)

    def frames(self, body: Any) -> list[bytes]:
        return list(Balanced([self.url], self.key).frames("POST", OPENAI, body))

    def job_id(self, model: str) -> str:
        """The id of the job for this model; empty while there is none."""
        _, _, page = self.ask(self.connect(), "GET", f"{OPENAI}?model={model}")
        return next((job["id"] for job in page["data"]), "")

    def waited_for(self, *models: str) -> list[str]:
        """The ids of these models' jobs, once somebody waits for each of them."""
        job_ids = [self.job_id(model) for model in models]
        channels = redis.Redis.from_url(self.container.settings.broker_url).pubsub_channels("simmer:bell:*")
        wanted = {channel(uuid).encode() for job_id in job_ids if (uuid := parse_public_id(job_id))}
        return job_ids if len(wanted) == len(models) and wanted <= set(channels) else []

    def refuses(self) -> bool:
        try:
            socket.create_connection((urlsplit(self.url).hostname, urlsplit(self.url).port)).close()
        except ConnectionRefusedError:
            return True
        return False

    def run(self, job_id: str) -> None:
        """Run the job, as a worker would."""
        uuid = parse_public_id(job_id)
        assert uuid
        lease = self.container.execution.claim(uuid, worker="jobs@test", abort=bool)
        assert lease
        self.container.execution.perform(lease)

    def elsewhere(self, path: str) -> Any:
        """What another process answers."""
        client = create_app(self.container.settings).test_client()
        return client.get(path, headers={"Authorization": f"Bearer {self.key}"})


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str, upstream_server: MockUpstream
) -> Iterator[Cluster]:
    """Without workers: what waits, waits."""
    folder = tmp_path_factory.mktemp("draining")
    with fresh_database(postgres) as database_url:
        env = environment(database_url, fresh_broker(valkey), write_models(folder, upstream_server))
        with Cluster(folder, {**env, "GUNICORN_CMD_ARGS": GRACE}) as made:
            yield made


@pytest.fixture(scope="module")
def departure(cluster: Cluster) -> Iterator[Departure]:
    """A SIGTERM while clients wait, read streams and keep their connections."""
    env = cluster.env
    settings = Settings(
        database_url=env["SIMMER_DATABASE_URL"], broker_url=env["SIMMER_BROKER_URL"], models=Path(env["SIMMER_MODELS"])
    )
    container = Container(settings)
    url = cluster.api(name="leaving")
    made = Departure(url, cluster.started("leaving"), container, container.keys.create("draining", SCOPES)[1])
    with ThreadPoolExecutor() as pool:
        leave(made, pool)
    made.process.wait(DEADLINE)
    yield made
    container.database.close()


def leave(made: Departure, pool: ThreadPoolExecutor) -> None:
    def body(model: str, **more: Any) -> dict[str, Any]:
        return {"model": model, "input": "Hello", **more}

    kept, idle = made.connect(), made.connect()
    assert idle.sock
    pool.submit(made.hear, "idle", partial(idle.sock.recv, 1))
    waiting = body(WAIT, background=True)
    pool.submit(made.hear, WAIT, partial(made.ask, made.connect(), "POST", f"{OPENAI}?wait=60", waiting))
    pool.submit(made.hear, STREAM, partial(made.frames, body(STREAM, background=True, stream=True)))
    pool.submit(made.hear, SYNC, partial(made.ask, made.connect(), "POST", OPENAI, body(SYNC)))
    pool.submit(made.hear, SYNC_STREAM, partial(made.frames, body(SYNC_STREAM, stream=True)))
    wait_until(lambda: made.waited_for(WAIT, STREAM, SYNC, SYNC_STREAM), DEADLINE, "all clients wait")
    made.process.kill(signal.SIGTERM)
    wait_until(made.refuses, DEADLINE, "nobody is let in any more")
    # By then idle connections would be closed, if they were closed at once.
    wait_until(lambda: WAIT in made.order, DEADLINE, "who waits is told")
    made.hear("kept", partial(made.ask, kept, "GET", "/v1/models"))


def test_the_process_leaves_by_itself(departure: Departure) -> None:
    assert departure.process.returncode == 0
    assert "unanswered" not in departure.process.output()


def test_who_waits_is_told_what_is_known_long_before_the_process_ends(departure: Departure) -> None:
    status, connection, job = departure.answers[WAIT]
    assert (status, connection, job["status"]) == (200, "close", "queued")
    assert departure.order.index(WAIT) < departure.order.index(STREAM)


def test_a_connection_that_was_kept_alive_may_bring_one_more_request(departure: Departure) -> None:
    assert departure.answers["kept"][:2] == (200, "close")


def test_an_idle_connection_is_closed_without_a_word(departure: Departure) -> None:
    assert departure.answers["idle"] == b""
    assert departure.order.index("idle") < departure.order.index(STREAM)


@pytest.mark.parametrize("client", [STREAM, SYNC_STREAM])
def test_a_stream_ends_between_two_events_and_goes_on_elsewhere(departure: Departure, client: str) -> None:
    frames = departure.answers[client]
    assert frames[-1].startswith(b": ")
    events = list(read_events(frames))
    assert [event["type"] for event in events] == ["response.created", "response.queued"]
    job_id = events[0]["response"]["id"]
    departure.run(job_id)
    rest = departure.elsewhere(f"{OPENAI}/{job_id}?stream=true&starting_after=1").data.rstrip().split(b"\n\n")
    assert rest[-1] == DONE
    events += read_events(rest)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"


def test_a_synchronous_request_gets_its_jobs_id_and_the_job_goes_on(departure: Departure) -> None:
    status, connection, answer = departure.answers[SYNC]
    assert (status, connection, answer["error"]["code"]) == (504, "close", "response_not_finished")
    job_id = next(word.rstrip(".") for word in answer["error"]["message"].split() if word.startswith("resp_"))
    departure.run(job_id)
    assert departure.elsewhere(f"{OPENAI}/{job_id}").json["status"] == "completed"


def test_who_had_connected_is_answered(cluster: Cluster) -> None:
    """The kernel has taken the connections, the processes have not, and then they are told to leave."""
    url = cluster.api(2, name="busy")
    process = cluster.started("busy")
    workers = psutil.Process(process.pid).children()
    process.freeze()
    with ExitStack() as stack:
        connections = [stack.enter_context(raw.Connection(url)) for _ in range(BACKLOG)]
        for connection in connections:
            connection.send(raw.request("GET", "/healthz"))
        for pid in [process.pid, *(worker.pid for worker in workers)]:
            psutil.Process(pid).send_signal(signal.SIGTERM)
        frozen_at = time.monotonic()
        # The processes look once a second whether they are to leave: that must be the first thing that they do.
        wait_until(lambda: time.monotonic() > frozen_at + 1.1, DEADLINE, "a look is due")
        process.resume()
        replies = [connection.reply() for connection in connections]
    assert {(reply.status, reply.header("connection")) for reply in replies} == {(200, "close")}
    assert process.wait(DEADLINE) == 0
