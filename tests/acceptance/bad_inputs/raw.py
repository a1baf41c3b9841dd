"""Requests byte by byte, and what comes back: a client library would put right what these tests send wrong."""

import json
import select
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.client import parse_headers
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

TIMEOUT = 30.0

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The header's value; it must not come twice."""
        values = [value for found, value in self.headers if found.lower() == name.lower()]
        assert len(values) < 2, self
        return values[0] if values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str, str | None]:
        """Status, type, code and param of an error, whose shape and headers are checked here."""
        assert self.header("content-type") == "application/json", self
        assert self.header("x-request-id"), self
        assert set(self.json) == {"error"}, self
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, self
        assert error["message"].endswith("."), self
        return self.status, error["type"], error["code"], error["param"]

    @property
    def text(self) -> str:
        """All of it, as if it had not been taken apart."""
        return "\n".join([*(f"{name}: {value}" for name, value in self.headers), self.body.decode()])


class Connection:
    """One connection to the API; open in a with statement."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname
        assert address.port
        self.socket = socket.create_connection((address.hostname, address.port), timeout=TIMEOUT)
        self._file: BinaryIO = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end(self) -> None:
        """Send nothing more, but listen."""
        self.socket.shutdown(socket.SHUT_WR)

    def reply(self) -> Reply:
        """The next reply."""
        status, headers = self._head()
        named = {name.lower(): value for name, value in headers}
        if named.get("transfer-encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self._file.read(int(named.get("content-length", 0)))
        return Reply(status, headers, body)

    def start(self) -> Reply:
        """The head of the next reply, whose body is not waited for."""
        return Reply(*self._head(), b"")

    def event(self) -> Any:
        """The first event of a reply that is a stream."""
        status, _ = self._head()
        assert status == 200
        return json.loads(next(self._chunks()).split(b"data: ", 1)[1])

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        return self._file.read()

    def at_end(self) -> bool:
        """Wait for what comes next: whether that is an orderly end, with no more bytes before it."""
        return not self._file.read(1)

    def answered(self) -> bool:
        """Whether there is something to read, or the end."""
        readable, _, _ = select.select([self.socket], [], [], 0)
        return bool(readable)

    def _head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        version, status, _ = self._file.readline().decode().split(" ", 2)
        assert version == "HTTP/1.1"
        return int(status), tuple(parse_headers(self._file).items())

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._file.readline(), 16):
            yield self._file.read(size)
            self._file.readline()
        self._file.readline()


def request(method: str, target: str, headers: Headers = (), body: bytes | None = None) -> bytes:
    """A request as it is said here, with the length of its body."""
    length = [] if body is None else [("Content-Length", str(len(body)))]
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: simmer",
        *(f"{name}: {value}" for name, value in (*headers, *length)),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def ask(url: str, data: bytes) -> Reply:
    """Send this much, and hear one reply."""
    with Connection(url) as connection:
        connection.send(data)
        return connection.reply()
