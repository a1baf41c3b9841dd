"""Logs: one record a line, whatever a message holds; fields of the request or job on each."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from app.logs import JsonFormatter, TextFormatter, Without, bind, bound, configure, raised_at
from app.settings import Settings

NASTY = "a\r\n12:00:00.000 ERROR   forged\x1b[31m\x07\x9b\x85\u2028\u2029\u202e\0\ud800 é \U0001f600"


def record(message: str = "hello", fields: dict[str, Any] | None = None, error: Exception | None = None) -> Any:
    made = logging.LogRecord("simmer.test", logging.INFO, __file__, 1, "%s", (message,), None)
    if fields:
        made.fields = fields
    if error:
        try:
            raise error
        except type(error):
            made.exc_info = sys.exc_info()
    return made


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    bind()
    yield
    bind()


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize("made", [record(NASTY), record(fields={"job_id": NASTY}), record(fields={NASTY: 1})])
def test_a_record_is_one_line_without_control_characters(formatter: logging.Formatter, made: Any) -> None:
    line = formatter.format(made)
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert "\x1b" not in line
    line.encode()


def test_text_keeps_what_can_be_read() -> None:
    line = TextFormatter().format(record(NASTY, {"n": 1}))
    assert r"a\r\n12:00:00.000 ERROR   forged\x1b[31m" in line
    assert "é \U0001f600 n=1" in line


def test_json_gives_it_all_back() -> None:
    line = json.loads(JsonFormatter().format(record(NASTY, {"job_id": NASTY, "ms": 1.5})))
    assert line["message"] == line["job_id"] == NASTY
    assert (line["level"], line["logger"], line["ms"]) == ("info", "simmer.test", 1.5)
    assert line["at"].endswith("+00:00")


def test_a_job_has_the_id_that_clients_know() -> None:
    made = record(fields={"job_id": UUID("0198f3c2-a1b4-7d0c-9e5f-2a6b8c7d1e03")})
    assert json.loads(JsonFormatter().format(made))["job_id"] == "resp_0198f3c2a1b47d0c9e5f2a6b8c7d1e03"
    assert TextFormatter().format(made).endswith("job_id=resp_0198f3c2a1b47d0c9e5f2a6b8c7d1e03")


def test_json_with_an_exception_is_still_one_line() -> None:
    text = JsonFormatter().format(record(error=ValueError(NASTY)))
    assert len(text.splitlines()) == 1
    assert "Traceback" in json.loads(text)["exception"]


def test_no_line_of_an_exceptions_text_looks_like_a_record() -> None:
    first, *others = TextFormatter().format(record(error=ValueError(NASTY))).split("\n")
    assert first.endswith("hello")
    assert any("Traceback" in line for line in others)
    assert [line for line in others if not line.startswith("    ")] == []
    assert [line for line in others if not line.isprintable()] == []


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_values_that_json_does_not_know(formatter: logging.Formatter) -> None:
    assert "ValueError" in formatter.format(record(fields={"kind": ValueError}))


def test_bound_fields_stand_on_every_line_inside() -> None:
    formatter = JsonFormatter()
    with bound(job_id="j", attempt=1):
        with bound(attempt=2):
            inner = json.loads(formatter.format(record(fields={"own": 3})))
        outer = json.loads(formatter.format(record()))
    after = json.loads(formatter.format(record()))
    assert (inner["job_id"], inner["attempt"], inner["own"]) == ("j", 2, 3)
    assert outer["attempt"] == 1
    assert "job_id" not in after


def test_bound_fields_go_when_the_block_raises() -> None:
    with pytest.raises(ValueError, match="out"), bound(job_id="j"):
        raise ValueError("out")
    assert "job_id" not in TextFormatter().format(record())


def test_bind_replaces_what_an_earlier_request_bound() -> None:
    bind(request_id="one", job_id="j")
    bind(request_id="two")
    assert TextFormatter().format(record()).endswith("hello request_id=two")


def test_another_thread_has_fields_of_its_own() -> None:
    seen: list[str] = []
    bind(request_id="mine")
    thread = threading.Thread(target=lambda: seen.append(TextFormatter().format(record())))
    thread.start()
    thread.join(10)
    assert "request_id" not in seen[0]


def test_where_an_error_was_raised() -> None:
    made = record(error=ValueError("secret"))
    place = raised_at(made.exc_info[1])
    assert place.startswith(__file__)
    assert "secret" not in place
    assert raised_at(ValueError()) == "?"


@pytest.fixture
def _loggers_as_they_were() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_loggers_as_they_were")
@pytest.mark.parametrize(("log_format", "first"), [("json", "{"), ("text", "0123456789")])
def test_configure_sends_everything_to_stderr(capsys: pytest.CaptureFixture[str], log_format: Any, first: str) -> None:
    configure(Settings(log_format=log_format, log_level="WARNING"))
    logging.getLogger("simmer.x").info("quiet")
    logging.getLogger("simmer.x").warning("loud")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "quiet" not in shown.err
    assert shown.err.count("loud") == 1
    assert shown.err[0] in first


@pytest.mark.usefixtures("_loggers_as_they_were")
@pytest.mark.parametrize("name", ["httpx2", "httpcore2", "openai"])
def test_libraries_that_would_log_requests_are_quiet_at_info(capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure(Settings(log_level="DEBUG"))
    logging.getLogger(name).info("POST https://user:password@host")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("level", "args", "written"),
    [
        (logging.INFO, ({"name": "maintenance.sweep", "id": "1"},), False),
        (logging.INFO, ("sweep", "maintenance.sweep"), False),
        (logging.INFO, ({"name": "jobs.run", "id": "1"},), True),
        (logging.INFO, (), True),
        (logging.INFO, (["maintenance.sweep"],), True),
        (logging.ERROR, ({"name": "maintenance.sweep", "id": "1"},), True),
    ],
)
def test_routine_is_left_out_and_its_failures_are_not(level: int, args: tuple[object, ...], written: bool) -> None:
    record = logging.LogRecord("celery", level, "file", 1, "message", args, None)
    assert Without("maintenance.sweep").filter(record) is written
