"""A door between a client and Simmer that can refuse creates, swallow the replies to them, and cut streams."""

import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TIMEOUT = 60.0
_TO_SIMMER = {"authorization", "content-type", "idempotency-key"}
_TO_CLIENT = {"content-type", "retry-after"}


class Door:
    """Open in a with statement, at `url`. Whatever comes there goes to `simmer`."""

    def __init__(self, simmer: str) -> None:
        self.simmer = simmer
        self.refusals = 0
        """How many creates are yet to be answered with a 503 that asks to come back in a second."""
        self.silent = False
        """Whether the replies to creates are swallowed: their clients wait on."""
        self.swallowed = threading.Semaphore(0)
        """Released for each of those replies: by then Simmer has accepted the response."""
        self.frames: int | None = None
        """How many events of a stream pass before its connection drops."""
        self.cuts = 0
        """How many streams were cut so."""
        self.closed = threading.Event()
        self._server = _Server(self)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, door: Door) -> None:
        self.door = door
        super().__init__(("127.0.0.1", 0), _Passage)


class _Passage(BaseHTTPRequestHandler):
    server: _Server
    # Chunks tell a stream that was cut from one that has ended.
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass(None)

    def do_POST(self) -> None:
        door = self.server.door
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/cancel") or not (door.refusals or door.silent):
            self._pass(body)
        elif door.refusals:
            door.refusals -= 1
            self._reply(503, {"Retry-After": "1"}, b"{}")
        else:
            self._ask(body).close()
            door.swallowed.release()
            door.closed.wait()

    def _pass(self, body: bytes | None) -> None:
        with self._ask(body) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() in _TO_CLIENT}
            if headers["Content-Type"].startswith("text/event-stream"):
                self._stream(_frames(answer), headers)
            else:
                self._reply(answer.status or 0, headers, answer.read())

    def _ask(self, body: bytes | None) -> HTTPResponse | HTTPError:
        headers = {name: value for name, value in self.headers.items() if name.lower() in _TO_SIMMER}
        request = Request(self.server.door.simmer + self.path, data=body, method=self.command, headers=headers)
        try:
            answer: HTTPResponse = urlopen(request, timeout=TIMEOUT)
        except HTTPError as error:
            return error
        return answer

    def _stream(self, frames: Iterator[bytes], headers: dict[str, str]) -> None:
        self._head(200, {**headers, "Transfer-Encoding": "chunked"})
        for number, frame in enumerate(frames):
            if number == self.server.door.frames:
                self.server.door.cuts += 1
                self.close_connection = True
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame))
        self.wfile.write(b"0\r\n\r\n")

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._head(status, {**headers, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Tests read what the server has to say from its attributes."""


def _frames(stream: HTTPResponse | HTTPError) -> Iterator[bytes]:
    frame = b""
    while line := stream.readline():
        frame += line
        if line == b"\n":
            yield frame
            frame = b""
