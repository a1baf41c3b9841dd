"""An endpoint for webhooks, which writes down what it gets and answers as a test says: well, badly, slowly or never.

`python -m tests.webhook_receiver --journal FILE` runs one as a process of its own.
"""

import argparse
import json
import socket
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

_STOP_TIMEOUT = 10.0
_SOCKET_TIMEOUT = 60.0
_PIECE = bytes(65_536)


@dataclass(frozen=True)
class Answer:
    """What a request gets."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    delay: float = 0
    """Seconds before the answer."""
    drip: float = 0
    """Seconds before each byte of the answer, head and all."""
    zeros: int = 0
    """How many zero bytes follow the body."""
    hang: bool = False
    """No answer at all; the connection stays open."""
    raw: bytes | None = None
    """Sent instead of all that, as it is."""


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes
    at: float
    """Unix time when all of it was there."""


class Receiver:
    """Listens on `host` as long as the block lasts, with TLS if it has a `certificate` (a file with the key too)."""

    def __init__(self, host: str = "127.0.0.1", *, port: int = 0, certificate: Path | None = None) -> None:
        self._server = _Server(self, host, port, certificate)
        self.host = host
        self.port = int(self._server.server_address[1])
        self.scheme = "https" if certificate else "http"
        self.connections = 0
        """How many connections were accepted."""
        self.requests: list[Received] = []
        self.sent = 0
        """Bytes of bodies that the system has taken."""
        self.stopping = threading.Event()
        self._answers: dict[str | None, Sequence[Answer]] = {None: [Answer()]}
        self._answered: Counter[str | None] = Counter()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="receiver", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join(_STOP_TIMEOUT)
        self.close()

    def close(self) -> None:
        """Give the port back; only for one that was never entered."""
        self._server.server_close()

    def url(self, path: str = "/", *, host: str | None = None) -> str:
        """The URL of a path, under another name of this host if one is given."""
        host = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{self.scheme}://{host}:{self.port}{path}"

    def answer(self, *answers: Answer, path: str | None = None) -> None:
        """Requests for `path`, or those for no path named, get these one after the other; the last goes on."""
        with self._lock:
            self._answers[path] = answers
            self._answered[path] = 0

    def take(self, received: Received) -> Answer:
        """Write the request down; what it gets."""
        with self._lock:
            self._record(received)
            path = received.path if received.path in self._answers else None
            answers = self._answers[path]
            self._answered[path] += 1
            return answers[min(self._answered[path], len(answers)) - 1]

    def _record(self, received: Received) -> None:
        self.requests.append(received)

    def by_header(self, name: str) -> dict[str | None, list[Received]]:
        """The requests by the value of a header."""
        found: dict[str | None, list[Received]] = defaultdict(list)
        for received in list(self.requests):
            found[received.headers.get(name.lower())].append(received)
        return found


class _Server(ThreadingHTTPServer):
    request_queue_size = 1_000

    def __init__(self, receiver: Receiver, host: str, port: int, certificate: Path | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        self.receiver = receiver
        self._tls: ssl.SSLContext | None = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)

    def server_bind(self) -> None:
        # HTTPServer would ask the DNS for the host's name.
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, client = super().get_request()
        self.receiver.connections += 1
        connection.settimeout(_SOCKET_TIMEOUT)
        return connection, client

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread, since a client may take its time for TLS. Clients leave as they like.
        with suppress(OSError):
            if self._tls:
                request = self._tls.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what matters is what was received."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        receiver = cast("_Server", self.server).receiver
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = receiver.take(Received(self.command, self.path, headers, body, time.time()))
        self.close_connection = True
        if answer.hang:
            self._hang(receiver)
        elif not receiver.stopping.wait(answer.delay):
            self._send(receiver, answer)

    do_GET = do_PUT = do_CONNECT = do_POST  # noqa: N815

    def _hang(self, receiver: Receiver) -> None:
        self.connection.settimeout(0.05)
        while not receiver.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue

    def _send(self, receiver: Receiver, answer: Answer) -> None:
        data = _wire(answer) if answer.raw is None else answer.raw
        if not answer.drip:
            self.wfile.write(data)
            receiver.sent += len(data)
        else:
            for byte in data:
                if receiver.stopping.wait(answer.drip):
                    return
                self.wfile.write(bytes([byte]))
        for start in range(0, answer.zeros, len(_PIECE)):
            piece = _PIECE[: answer.zeros - start]
            self.wfile.write(piece)
            receiver.sent += len(piece)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def _wire(answer: Answer) -> bytes:
    length = len(answer.body) + answer.zeros
    headers = {"Content-Length": str(length), "Connection": "close", **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


class _Journal(Receiver):
    """Writes the requests to a file instead, a JSON object in each line."""

    def __init__(self, host: str, port: int, certificate: Path | None, path: Path) -> None:
        super().__init__(host, port=port, certificate=certificate)
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def _record(self, received: Received) -> None:
        line = json.dumps({**vars(received), "body": received.body.decode("latin-1")})
        self._file.write(f"{line}\n")


def main() -> None:
    """Run until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--answer", type=json.loads, default={}, help='by path, such as {"/gone": {"status": 410}}')
    arguments = parser.parse_args()
    with _Journal(arguments.host, arguments.port, arguments.certificate, arguments.journal) as receiver:
        for path, options in arguments.answer.items():
            receiver.answer(Answer(**options), path=path)
        print(receiver.url(), flush=True)
        receiver.stopping.wait()


if __name__ == "__main__":
    main()
