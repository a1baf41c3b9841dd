"""What ends a call from outside reaches the job as what it is, and closes the call's connection."""

import ssl
import subprocess
import sys

import httpx2
import pytest
from celery.exceptions import SoftTimeLimitExceeded

from app.domain.jobs import Failure
from tests.integration.upstreams.conftest import DEADLINE, Ask, failed
from tests.upstream.client import MockUpstream


class Aborted(BaseException):
    """As workers/pool.py throws it."""


@pytest.mark.parametrize("thrown", [SoftTimeLimitExceeded, Aborted, KeyboardInterrupt])
def test_what_is_thrown_in_from_outside_is_no_connection_error(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, thrown: type[BaseException]
) -> None:
    def interrupted(*_: object) -> None:
        raise thrown

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", interrupted)
    with pytest.raises(thrown):
        ask("hi")


@pytest.mark.parametrize("broken", [ssl.SSLError("gone"), httpx2.ConnectError("gone"), httpx2.PoolTimeout("full")])
def test_what_the_connection_raises_is_one(ask: Ask, monkeypatch: pytest.MonkeyPatch, broken: Exception) -> None:
    def fail(*_: object) -> None:
        raise broken

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", fail)
    assert failed(ask, "hi").failure is Failure.UPSTREAM_UNAVAILABLE


# In a process of its own: gevent patches the whole interpreter.
INTERRUPT = """
from gevent import monkey; monkey.patch_all()
import sys
from pathlib import Path
import gevent
from celery.exceptions import SoftTimeLimitExceeded
from app.domain.ids import new_id
from app.domain.requests import JobRequest, message
from app.upstreams.chat import ChatUpstream
from app.upstreams.connection import ModelServer
from app.upstreams.responses import ResponsesUpstream
from tests.upstream.client import MockUpstream
from workers.task_greenlet import TaskAborted

url, mark, protocol, way, kind = sys.argv[1:]
thrown = {"soft": SoftTimeLimitExceeded, "abort": TaskAborted}[kind]
upstream = MockUpstream(Path("not-started"), port=int(url.rpartition(":")[2].split("/")[0]))
server = ModelServer(url, None, connect_timeout=5)
asked = {"chat": ChatUpstream, "responses": ResponsesUpstream}[protocol](server)
slow = {"complete": "[[hang]]", "stream": "[[tokens 99 rate=1]]"}[way]
request = JobRequest(model="m", inputs=(message("user", mark + slow),))

def body():
    try:
        if way == "complete":
            asked.complete(request, model="m", job_id=new_id(), timeout=60)
        else:
            for delta in asked.stream(request, model="m", job_id=new_id(), timeout=60):
                pass
    except thrown as error:
        return type(error).__name__

task = gevent.spawn(body)
upstream.wait_for_call(mark, 20)
task.kill(thrown, block=False)
print("ended by", task.get(timeout=20))
upstream.wait_closed(mark, 20)
again = JobRequest(model="m", inputs=(message("user", "still alive"),))
print(asked.complete(again, model="m", job_id=new_id(), timeout=20).output[0]["content"][0]["text"])
"""


@pytest.mark.parametrize(("kind", "name"), [("soft", "SoftTimeLimitExceeded"), ("abort", "TaskAborted")])
@pytest.mark.parametrize(("protocol", "way"), [("chat", "complete"), ("chat", "stream"), ("responses", "stream")])
def test_an_interrupted_call_closes_its_connection(
    upstream: MockUpstream, mark: str, protocol: str, way: str, kind: str, name: str
) -> None:
    command = [sys.executable, "-c", INTERRUPT, upstream.base_url, mark, protocol, way, kind]
    run = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert run.stdout.splitlines() == [f"ended by {name}", "echo: still alive"], run.stderr
    upstream.wait_in_flight(mark, 0, DEADLINE)
