"""The mock model server as a process, and questions to it."""

import http.client
import json
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from tests.processes import DeadlineError, Process, wait_until
from tests.upstream.journal import Call

_START_SECONDS = 20.0
_REQUEST_SECONDS = 15.0
_ROOT = Path(__file__).parents[2]


class Stats(NamedTuple):
    in_flight: int
    total: int
    max_in_flight: int
    connections: int


class MockUpstream:
    """Starts with `with MockUpstream(tmp_path) as upstream:`; `upstream.base_url` is for the OpenAI SDK."""

    def __init__(self, folder: Path, *, port: int = 0, keep: int = 200_000) -> None:
        """The log and the record file stand in `folder`; port 0 takes a free one, which a restart keeps."""
        self.record = folder / "upstream.jsonl"
        self.log = folder / "upstream.log"
        self.port = port
        self._keep = keep
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def process(self) -> Process:
        """To freeze, kill or measure it."""
        assert self._process, "the mock upstream is not started; use it in a with statement"
        return self._process

    def start(self) -> None:
        options = ["--port", str(self.port), "--record", str(self.record), "--keep", str(self._keep)]
        argv = [sys.executable, "-m", "tests.upstream.server", *options]
        self._process = Process(argv, log=self.log, cwd=_ROOT, env={"PYTHONPATH": os.fspath(_ROOT)})
        self.port = int(self._process.wait_log("listening on", _START_SECONDS).rpartition(":")[2])

    def stop(self) -> None:
        if self._process:
            self._process.stop()

    def calls(self, contains: str = "", since: int = 0) -> list[Call]:
        """Calls after sequence number `since` whose prompt holds `contains`, oldest first."""
        query = urlencode({"contains": contains, "since": since})
        return [Call(**call) for call in self._ask("GET", f"/_calls?{query}")["calls"]]

    def bodies(self, contains: str) -> list[dict[str, Any]]:
        """What the latest calls whose prompt holds `contains` sent, oldest first."""
        sent: list[dict[str, Any]] = self._ask("GET", f"/_bodies?{urlencode({'contains': contains})}")
        return sent

    def stats(self) -> Stats:
        return Stats(**self._ask("GET", "/_stats"))

    def in_flight(self, contains: str) -> int:
        """How many calls run now whose prompt holds `contains`."""
        number: int = self._ask("GET", f"/_in_flight?{urlencode({'contains': contains})}")["in_flight"]
        return number

    def set_mode(self, script: str, *, for_calls: int | None = None, for_seconds: float | None = None) -> None:
        """Play these directives on every call before its own, until so many calls or seconds have passed."""
        limits = {"for_calls": for_calls, "for_seconds": for_seconds}
        given = {key: value for key, value in limits.items() if value is not None}
        self._ask("PUT", "/_mode", {"script": script, **given})

    def clear_mode(self) -> None:
        self._ask("PUT", "/_mode", {})

    def close_gates(self) -> None:
        """Have calls wait at all gates again, whichever were opened."""
        self._ask("DELETE", "/_gates")

    def open_gate(self, name: str) -> None:
        """Let all `[[gate NAME]]` calls pass, those that wait and those to come."""
        self._ask("POST", f"/_gate/{name}")

    def wait_for_call(self, contains: str, timeout: float, *, attempt: int = 1, since: int = 0) -> Call:
        """The first call with `contains` (or a later attempt of it), running or ended."""

        def found() -> Call | None:
            return next((call for call in self.calls(contains, since) if call.attempt >= attempt), None)

        call = wait_until(found, timeout, f"attempt {attempt} of a call with {contains!r}")
        assert call
        return call

    def wait_closed(self, contains: str, timeout: float, since: int = 0) -> Call:
        """The latest call with `contains`, once the mock saw its client close the connection."""

        def closed() -> Call | None:
            ended = [call for call in self.calls(contains, since) if call.ended == "client_closed"]
            return ended[-1] if ended else None

        call = wait_until(closed, timeout, f"the client's close of a call with {contains!r}")
        assert call
        return call

    def wait_in_flight(self, contains: str, number: int, timeout: float) -> None:
        """Wait until exactly `number` calls with `contains` run. Other tests' calls may run beside them: jobs that
        hang outlive the test that sent them, for as long as its workers do.
        """
        try:
            wait_until(lambda: self.in_flight(contains) == number, timeout, f"{number} calls with {contains!r}")
        except DeadlineError as error:
            error.add_note(f"last: {self.in_flight(contains)} with it; {self.stats()}")
            raise

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_REQUEST_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise AssertionError(f"{method} {path} of the mock upstream: {response.status} {text.decode()}")
        return json.loads(text)
