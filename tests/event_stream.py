"""Reads server-sent events off a socket, frame by frame as they arrive, and can leave at any moment."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from tests.cluster import Client

TIMEOUT = 60.0
DONE = b"data: [DONE]"


class Event(NamedTuple):
    """One event: its name, its data, and the frame it came in."""

    name: str
    data: Any
    frame: bytes


class EventStream:
    """One reader of one stream; a context manager. `frames` are all that it has read, comments too."""

    def __init__(self, client: Client, method: str, path: str, body: Any = None) -> None:
        """Send the request, and read the reply's head."""
        self._connection = HTTPConnection(urlsplit(client.url).netloc, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {client.key}", "Content-Type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        self.response: HTTPResponse = self._connection.getresponse()
        self.frames: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Close the connection, wherever the stream is."""
        if self._connection.sock:
            # Its file object would keep the socket open.
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self.response.close()
        self._connection.close()

    def events(self) -> Iterator[Event]:
        """The events until `[DONE]`, which must come."""
        for frame in self._read():
            self.frames.append(frame)
            if frame == DONE:
                return
            if not frame.startswith(b":"):
                name, data = frame.split(b"\n", 1)
                yield Event(name.removeprefix(b"event: ").decode(), json.loads(data.removeprefix(b"data: ")), frame)
        raise AssertionError("the stream ended without [DONE]")

    def _read(self) -> Iterator[bytes]:
        lines: list[bytes] = []
        while line := self.response.readline():
            if line.strip():
                lines.append(line.rstrip(b"\n"))
            else:
                yield b"\n".join(lines)
                lines = []


def read_all(client: Client, path: str) -> list[bytes]:
    """The frames of a whole stream."""
    with EventStream(client, "GET", path) as stream:
        for _ in stream.events():
            pass
        return [frame for frame in stream.frames if not frame.startswith(b":")]
