"""A lean HTTP client that notes when each piece of an answer arrived, and reads what it says only afterwards."""

import asyncio
import json
import re
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_CHUNKS_END = b"\r\n0\r\n\r\n"
_NO_EVENT = {b"", b"[DONE]"}
_MODEL = "bench"


class Frame(NamedTuple):
    """The data of one server-sent event, and when all of it had arrived (`time.time()`)."""

    at: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """When the request was sent, and each piece of the answer with the time at which it arrived (`time.time()`)."""

    sent_at: float
    pieces: Sequence[tuple[float, bytes]]

    @property
    def ended_at(self) -> float:
        """When all of it had arrived."""
        return self.pieces[-1][0]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self._whole()[9:12])

    def json(self) -> Any:
        """The body of an answer that is no stream."""
        return json.loads(self._whole().partition(_HEAD_END)[2])

    def frames(self) -> Iterator[Frame]:
        """The events of a stream, each of them one chunk; comments and the `[DONE]` at the end are left out."""
        whole = self._whole()
        ends = list(accumulate(len(data) for _, data in self.pieces))
        at = whole.index(_HEAD_END) + len(_HEAD_END)
        while size := int(whole[at : (line_end := whole.index(b"\r\n", at))], 16):
            chunk = whole[line_end + 2 : line_end + 2 + size]
            at = line_end + 2 + size + 2
            data = chunk.partition(b"data: ")[2].rstrip()
            if data not in _NO_EVENT:
                yield Frame(self.pieces[bisect_left(ends, at)][0], data)

    def _whole(self) -> bytes:
        return b"".join(data for _, data in self.pieces)


class Recorder(asyncio.Protocol):
    """One connection, with one request on it at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._pieces: list[tuple[float, bytes]] = []
        self._answered: asyncio.Future[None] | None = None
        self._left: int | None = None
        """Bytes of the body still to come; None before the head is there, and for a body in chunks."""
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answered and not self._answered.done():
            self._answered.set_exception(ConnectionError("the server closed the connection before its answer's end"))

    def data_received(self, data: bytes) -> None:
        self._pieces.append((time.time(), data))
        if self._complete(data) and self._answered and not self._answered.done():
            self._answered.set_result(None)

    async def ask(self, request: bytes, timeout: float = 90) -> Answer:
        """Send a request; its whole answer. Raises TimeoutError, and OSError if the connection breaks."""
        if self._transport is None:
            raise ConnectionError("the server closed the connection between two requests")
        self._pieces, self._left, self._tail = [], None, b""
        self._answered = asyncio.get_running_loop().create_future()
        sent_at = time.time()
        self._transport.write(request)
        async with asyncio.timeout(timeout):
            await self._answered
        return Answer(sent_at, self._pieces)

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def _complete(self, data: bytes) -> bool:
        if not self._tail:
            received = b"".join(data for _, data in self._pieces)
            end = received.find(_HEAD_END)
            if end < 0:
                return False
            if length := _LENGTH.search(received, 0, end + 2):
                self._left = end + len(_HEAD_END) + int(length[1]) - len(received) + len(data)
        # Only what follows is looked at again: a stream may have thousands of pieces.
        self._tail = (self._tail + data)[-len(_CHUNKS_END) :]
        if self._left is None:
            return self._tail == _CHUNKS_END
        self._left -= len(data)
        return self._left <= 0


async def connect(url: str) -> Recorder:
    """A connection to the server of `url`."""
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    _, recorder = await asyncio.get_running_loop().create_connection(Recorder, address.hostname, address.port)
    return recorder


def post(path: str, body: object, key: str = "") -> bytes:
    """A POST of JSON, with an API key if the server wants one."""
    data = json.dumps(body).encode()
    head = f"{_head('POST', path, key)}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def get(path: str, key: str = "") -> bytes:
    """A GET, with an API key if the server wants one."""
    return f"{_head('GET', path, key)}\r\n".encode()


def create(prompt: str, key: str, *, background: bool = True, stream: bool = False) -> bytes:
    """The request that creates a response."""
    inputs = [{"role": "user", "texts": [{"text": prompt}]}]
    body = {"model": _MODEL, "background": background, "stream": stream, "inputs": inputs}
    return post("/v1/model/response", body, key)


def wait(job_id: str, key: str) -> bytes:
    """The request that is answered when the job has ended, or after a minute."""
    return get(f"/v1/model/response/{job_id}?wait=60", key)


def stream_from_upstream(path: str, prompt: str) -> bytes:
    """The request that has the upstream itself stream."""
    body = {"model": _MODEL, "stream": True, "messages": [{"role": "user", "content": prompt}]}
    return post(f"{path}/chat/completions", body)


def _head(method: str, path: str, key: str) -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\n" + (f"Authorization: Bearer {key}\r\n" if key else "")
