"""What the mock tells about the calls it got, and when."""

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.processes import DeadlineError
from tests.upstream.client import MockUpstream

Ask = Callable[[str], ChatCompletion]
DEADLINE = 20.0


def send(upstream: MockUpstream, prompt: str, *, stream: bool = False) -> http.client.HTTPConnection:
    """Send a call and return its connection, without waiting for the answer."""
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": stream}
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=DEADLINE)
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    return connection


def test_an_answered_call(upstream: MockUpstream, sdk: openai.OpenAI, mark: str) -> None:
    sdk.chat.completions.create(
        model="gpt-4.1",
        messages=[{"role": "user", "content": mark}],
        extra_headers={"X-Client-Request-Id": "job-1"},
    )
    (call,) = upstream.calls(mark)
    assert (call.prompt, call.model, call.ended, call.status, call.attempt) == (mark, "gpt-4.1", "answered", 200, 1)
    assert call.ended_at
    assert call.started_at <= call.ended_at
    assert call.headers["authorization"] == "Bearer sk-test"
    assert call.headers["x-client-request-id"] == "job-1"


def test_since_leaves_out_earlier_calls(upstream: MockUpstream, ask: Ask, mark: str) -> None:
    ask(mark)
    before = upstream.stats().total
    ask(f"{mark} again")
    assert [call.prompt for call in upstream.calls(mark, since=before)] == [f"{mark} again"]


@pytest.mark.parametrize("wait", ["[[sleep 3600]]", "[[hang]]", "[[gate never]]", "[[tokens 10 rate=0.001]]"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_close_is_noticed_while_the_call_waits(upstream: MockUpstream, mark: str, wait: str, stream: bool) -> None:
    connection = send(upstream, f"{mark} {wait}", stream=stream)
    assert upstream.wait_for_call(mark, DEADLINE).ended is None
    connection.close()
    assert upstream.wait_closed(mark, DEADLINE).ended_at
    upstream.wait_in_flight(mark, 0, DEADLINE)


def test_a_call_that_is_not_closed(upstream: MockUpstream, ask: Ask, mark: str) -> None:
    ask(mark)
    with pytest.raises(DeadlineError, match=mark):
        upstream.wait_closed(mark, 0.1)


@pytest.mark.parametrize(("directive", "ended"), [("[[reset]]", "reset"), ("[[close]]", "closed"), ("[[half]]", "cut")])
def test_ends_by_the_mock(upstream: MockUpstream, ask: Ask, mark: str, directive: str, ended: str) -> None:
    with pytest.raises(openai.APIConnectionError):
        ask(f"{mark} {directive}")
    assert [call.ended for call in upstream.calls(mark)] == [ended]


def test_a_gate_holds_calls_until_it_opens(upstream: MockUpstream, ask: Ask, mark: str) -> None:
    with ThreadPoolExecutor() as threads:
        answers = [threads.submit(ask, f"{mark} {number} [[gate {mark}]]") for number in range(3)]
        upstream.wait_in_flight(mark, 3, DEADLINE)
        assert upstream.stats().max_in_flight >= 3
        assert not any(answer.done() for answer in answers)
        upstream.open_gate(mark)
        assert all(answer.result(DEADLINE).choices for answer in answers)
    upstream.wait_in_flight(mark, 0, DEADLINE)


def test_attempts_count_calls_of_a_prompt(upstream: MockUpstream, mark: str) -> None:
    with openai.OpenAI(base_url=upstream.base_url, api_key="sk", max_retries=2, timeout=DEADLINE) as retrying:
        prompt = f"{mark} [[fail-first 2 status=500 retry-after=0.01]]"
        retrying.chat.completions.create(model="m", messages=[{"role": "user", "content": prompt}])
    assert [(call.attempt, call.status) for call in upstream.calls(mark)] == [(1, 500), (2, 500), (3, 200)]
    assert upstream.wait_for_call(mark, DEADLINE, attempt=3).status == 200


def test_records_survive_a_kill(tmp_path: Path) -> None:
    with MockUpstream(tmp_path) as mock:
        send(mock, "done").getresponse().read()
        connection = send(mock, "open [[hang]]")
        mock.wait_for_call("open", DEADLINE)
        port = mock.port
        mock.process.kill()
        mock.process.wait(DEADLINE)
        mock.start()
        assert mock.port == port
        send(mock, "done").getresponse().read()
        connection.close()
        seen = [(call.sequence, call.attempt, call.prompt, call.ended) for call in mock.calls()]
    assert seen == [(1, 1, "done", "answered"), (2, 1, "open [[hang]]", "lost"), (3, 2, "done", "answered")]


def test_a_stop_ends_open_calls(tmp_path: Path) -> None:
    with MockUpstream(tmp_path) as mock:
        connection = send(mock, "open [[hang]]")
        mock.wait_for_call("open", DEADLINE)
        mock.stop()
        assert mock.process.returncode == 0
        connection.close()
    assert json.loads(mock.record.read_text().splitlines()[-1])["ended"] == "stopped"
    assert "Traceback" not in mock.log.read_text()


def test_memory_is_bounded_by_a_cap(tmp_path: Path) -> None:
    with MockUpstream(tmp_path, keep=2) as mock:
        for number in range(4):
            send(mock, f"prompt {number}").getresponse().read()
        assert [call.prompt for call in mock.calls()] == ["prompt 2", "prompt 3"]
        assert mock.stats().total == 4
        assert [body["messages"][0]["content"] for body in mock.bodies("prompt")] == ["prompt 2", "prompt 3"]
