"""Lines of the request log: at once, or some together."""

import logging
import time
from collections.abc import Callable

import pytest

from app.api import request_log
from app.api.request_log import RequestLog
from app.logs import JsonFormatter, bind, bound

Fields = dict[str, object]
Lines = Callable[[], list[tuple[float, Fields]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """What was written so far: when it happened, and its fields."""
    caplog.set_level(logging.INFO)

    def lines() -> list[tuple[float, Fields]]:
        assert {(record.name, record.levelname, record.getMessage()) for record in caplog.records} <= {
            (request_log.__name__, "INFO", "request")
        }
        return [(record.created, record.fields) for record in caplog.records]  # type: ignore[attr-defined]

    return lines


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def test_a_line_is_written_at_once(lines: Lines, clock: list[float]) -> None:
    RequestLog().add("req_1", {"status": 200})
    assert lines() == [(clock[0], {"request_id": "req_1", "status": 200})]


def test_lines_wait_for_one_another(lines: Lines, clock: list[float]) -> None:
    log = RequestLog()
    calls: list[Callable[[], None]] = []
    log.later = calls.append
    for number in range(3):
        clock[0] += 1
        log.add(f"req_{number}", {"status": 200})
    assert not lines()
    assert len(calls) == 1
    calls.pop()()
    written = [(101.0 + number, {"request_id": f"req_{number}", "status": 200}) for number in range(3)]
    assert lines() == written
    log.add("req_3", {})
    assert len(calls) == 1
    log.flush()
    calls.pop()()
    assert lines() == [*written, (103.0, {"request_id": "req_3"})]


def test_a_line_has_the_fields_of_its_own_request_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = RequestLog()
    log.later = lambda _: None
    log.add("req_1", {"status": 200})
    with bound():
        bind(request_id="req_2", job_id="resp_2")
        log.flush()
        written = [JsonFormatter().format(record) for record in caplog.records]
    assert len(written) == 1
    assert '"request_id": "req_1", "status": 200}' in written[0]
    assert "resp_2" not in written[0]


def test_a_line_that_nobody_wants_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    log = RequestLog()
    calls: list[Callable[[], None]] = []
    log.later = calls.append
    log.add("req_1", {})
    assert not calls
