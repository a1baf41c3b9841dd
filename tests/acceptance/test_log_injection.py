"""Whatever clients, model servers and others who reach the broker say: a record of any process's log stays one line."""

import json
import re
import shlex
from contextlib import closing

import pytest
from celery import Celery
from kombu.connection import Connection
from kombu.messaging import Producer

from tests.acceptance.bad_inputs.raw import ask, request
from tests.cluster import Client, Cluster
from tests.processes import wait_until

FORGED = "a\r\n12:00:00.000 ERROR   forged\x1b[31m\x07\x9b\x85\u2028\u2029\u202e é"
MODEL_SERVER_SAYS = shlex.quote(FORGED.replace("]", ")").replace("[", "("))
RECORD = re.compile(r"\d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO   |WARNING|ERROR  |CRITICAL) .*| {4}.*")
START = re.compile(r"\{|\d\d:\d\d:\d\d\.")
LOGS = ("api", "json", "text")


@pytest.fixture
def logs(cluster: Cluster, broker_url: str, key: str) -> dict[str, list[str]]:
    """What an API and a worker wrote as JSON, and another worker as text, while it was said to all of them."""
    client = Client(cluster.api(SIMMER_LOG_FORMAT="json", SIMMER_LOG_LEVEL="DEBUG"), key)
    cluster.worker("json", queue="default,priority", SIMMER_LOG_FORMAT="json")
    cluster.worker("text", queue="flex")
    _say_to_the_api(client)
    _say_to_the_workers(client)
    with Celery(broker=broker_url) as app, closing(app.connection_for_write()) as connection:
        for queue in ("default", "flex"):
            _publish(app, connection, queue)
        for command, arguments in [(FORGED, {}), ("rate_limit", {"task_name": FORGED, "rate_limit": FORGED})]:
            app.control.broadcast(command, arguments)
        app.control.revoke(f"last-{FORGED}")
    for name in ("json", "text"):
        cluster.started(name).wait_log("revoked: last-", 30)
    return {name: _records(cluster, name) for name in LOGS}


def _say_to_the_api(client: Client) -> None:
    escaped = "".join(f"%{byte:02x}" for byte in FORGED.encode())
    keyed = [("X-API-Key", client.key)]
    for data in (
        request("GET", f"/{escaped}?{escaped}={escaped}", [("X-API-Key", escaped), ("X-Client-Request-Id", escaped)]),
        request("GET", f"/v1/responses/{escaped}", [*keyed, ("X-Client-Request-Id", "a\x85\xa0\xad")]),
        request("POST", "/v1/responses", [*keyed, ("Content-Type", "application/json"), ("X", "\x85")], b"{\x85"),
        # gunicorn's own log has these.
        f"GET /{escaped} HTTP/1.1\r\nX\x1b[31m\x85: a\r\n\r\n".encode("latin-1"),
        b"GET / \x1b[31m\x85\xe2\x80\xa8HTTP\r\n\r\n",
    ):
        assert ask(client.url, data).status in {400, 401, 404}


def _say_to_the_workers(client: Client) -> None:
    """Through jobs: a model's name, metadata, and what the model server says of its errors."""
    wrong = f"[[error status=418 code=nope message={MODEL_SERVER_SAYS}]]"
    jobs = [client.submit(wrong, metadata={"a": FORGED}), client.submit(wrong, model=f"any {FORGED}")]
    for job_id in jobs:
        assert client.wait(job_id)["error"]["code"] == "upstream_error"


def _publish(app: Celery, connection: Connection, queue: str) -> None:
    """Messages that none of Simmer's processes sends."""
    app.send_task(f"nope{FORGED}", [FORGED], queue=queue, task_id=f"unknown-{FORGED}")
    app.send_task("jobs.run", [FORGED], queue=queue, task_id=f"wrong-{FORGED}")
    app.send_task("jobs.run", [FORGED, 3], {FORGED: 3}, queue=queue, task_id=f"worse-{FORGED}")
    producer = Producer(connection)
    for kind in ("text/plain", "application/json", "application/x-python-serialize"):
        producer.publish(FORGED, routing_key=queue, exchange=queue, content_type=kind, content_encoding="utf-8")


SIGNS = ("unregistered task", "not a job's id", "raised unexpected", "untrusted content", "pidbox command")
"""What a worker writes of each kind of message that it was sent."""


def _records(cluster: Cluster, name: str) -> list[str]:
    """All lines after the banner, in which nobody has a say."""
    log = cluster.started(name).log

    # All of it has come so far.
    signs = [] if name == "api" else SIGNS

    def ended() -> str:
        text = log.read_bytes().decode()
        return text if text.endswith("\n") and all(sign in text for sign in signs) else ""

    lines = wait_until(ended, 60, f"all lines of {name}").split("\n")[:-1]
    first = next(number for number, line in enumerate(lines) if START.match(line))
    return lines[first:]


def test_a_record_stays_one_line(logs: dict[str, list[str]]) -> None:
    assert [line for name in LOGS for line in logs[name] if not line.isprintable()] == []
    assert [line for line in logs["text"] if not RECORD.fullmatch(line)] == []
    records = [json.loads(line) for name in ("api", "json") for line in logs[name]]
    assert [record for record in records if not {"at", "level", "logger", "message"} <= set(record)] == []
    assert [line for line in logs["api"] if "InvalidHeader" in line and "gunicorn.error" in line]
