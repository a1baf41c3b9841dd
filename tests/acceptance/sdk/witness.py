"""Looks over a client's shoulder: every body and every frame that passes must be what both schemas say."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.schemas import errors, event_errors, response_errors

_FRAME = re.compile(rb"event: (\S+)\ndata: (.+)")
_TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
_DONE = b"data: [DONE]"
_SCHEMAS = [
    (re.compile(r"/v1/models"), "ListModelsResponse"),
    (re.compile(r"/v1/models/.+"), "Model"),
    (re.compile(r"/v1/responses/[^/]+/input_items"), "ResponseItemList"),
]
"""What is neither a response nor an error; OpenAI's document alone knows it."""


class Reader(Protocol):
    """Takes in one reply, as it comes off the wire."""

    def feed(self, data: bytes) -> None: ...

    def end(self) -> None:
        """The server has ended the reply; not called when the client left before."""


@dataclass
class Witness:
    """Collects what is wrong instead of raising: an SDK would take an exception for a broken connection."""

    problems: list[str] = field(default_factory=list)

    def read(self, url: str, status: int, content_type: str, *, chunks: bool = True) -> Reader:
        """A reader for this reply. `chunks`: what it is fed are the chunks as the server wrote them."""
        address = urlsplit(url)
        if content_type.startswith("text/event-stream"):
            after = parse_qs(address.query).get("starting_after", ["-1"])[0]
            return Frames(self, address.path, int(after) + 1, chunks)
        return Body(self, address.path, status)

    def note(self, where: str, *problems: str) -> None:
        self.problems += [f"{where}: {problem}" for problem in problems]


@dataclass
class Body:
    """A JSON body: a response, a list of them, or an error."""

    witness: Witness
    path: str
    status: int
    _read: bytes = b""

    def feed(self, data: bytes) -> None:
        self._read += data

    def end(self) -> None:
        try:
            self.witness.note(self.path, *self._check(json.loads(self._read)))
        except (ValueError, LookupError, TypeError) as error:
            self.witness.note(self.path, f"no such body: {error!r}")

    def _check(self, body: Any) -> list[str]:
        if self.status >= 400:
            return errors("openai", "Error", body["error"])
        for path, schema in _SCHEMAS:
            if path.fullmatch(self.path):
                return errors("openai", schema, body)
        if body["object"] == "list":
            return [error for entry in body["data"] for error in response_errors(entry)]
        return [] if "deleted" in body else response_errors(body)


@dataclass
class Frames:
    """A stream of server-sent events: numbers without a gap, an end, [DONE]."""

    witness: Witness
    path: str
    number: int
    chunks: bool
    _rest: bytes = b""
    _terminal: bool = False
    _done: bool = False

    def feed(self, data: bytes) -> None:
        if self.chunks and b"\n\n" in data[:-2]:
            self._note("more than one frame in one write")
        *frames, self._rest = (self._rest + data).split(b"\n\n")
        for frame in frames:
            self._frame(frame)

    def end(self) -> None:
        if self._rest or not self._done:
            self._note("ended without [DONE]")

    def _frame(self, frame: bytes) -> None:
        if self._done:
            self._note("goes on after [DONE]")
        if frame == _DONE:
            self._done = True
        elif match := _FRAME.fullmatch(frame):
            self._event(match[1].decode(), match[2])
        elif not frame.startswith(b":"):
            self._note(f"no frame: {frame[:80]!r}")

    def _event(self, name: str, data: bytes) -> None:
        try:
            event = json.loads(data)
            self.witness.note(self.path, *self._out_of_place(name, event), *event_errors(event))
        except (ValueError, LookupError, TypeError) as error:
            self._note(f"no such event: {error!r}")
        self._terminal = name in _TERMINAL
        self.number += 1

    def _out_of_place(self, name: str, event: Any) -> Iterator[str]:
        if event["type"] != name:
            yield f"event: {name}, but type {event['type']}"
        if event["sequence_number"] != self.number:
            yield f"{event['sequence_number']} where {self.number} was due"
        if self._terminal:
            yield f"{name} after the terminal event"

    def _note(self, problem: str) -> None:
        self.witness.note(f"stream of {self.path}", problem)


class WitnessedTransport(httpx2.HTTPTransport):
    """The SDK's way to the server, with a witness beside it."""

    def __init__(self, witness: Witness) -> None:
        super().__init__(verify=False)
        self._witness = witness

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Stream(response.stream, _reader(self._witness, request, response))
        return response


class AsyncWitnessedTransport(httpx2.AsyncHTTPTransport):
    """The same for the asynchronous client."""

    def __init__(self, witness: Witness) -> None:
        super().__init__(verify=False)
        self._witness = witness

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _AsyncStream(response.stream, _reader(self._witness, request, response))
        return response


def _reader(witness: Witness, request: httpx2.Request, response: httpx2.Response) -> Reader:
    return witness.read(str(request.url), response.status_code, response.headers.get("content-type", ""))


@dataclass
class _Stream(httpx2.SyncByteStream):
    inner: httpx2.SyncByteStream
    reader: Reader

    def __iter__(self) -> Iterator[bytes]:
        for data in self.inner:
            self.reader.feed(data)
            yield data
        self.reader.end()

    def close(self) -> None:
        self.inner.close()


@dataclass
class _AsyncStream(httpx2.AsyncByteStream):
    inner: httpx2.AsyncByteStream
    reader: Reader

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self.inner:
            self.reader.feed(data)
            yield data
        self.reader.end()

    async def aclose(self) -> None:
        await self.inner.aclose()
