"""HTTP/1.1 on asyncio streams: one request in, one reply out, and the ways a server can break off."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


class RequestError(Exception):
    """A request that is refused; carries the HTTP status to answer with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    keep_alive: bool

    def json_object(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise RequestError(400, f"the body is not JSON ({error}); send a JSON object") from error
        if not isinstance(value, dict):
            raise RequestError(400, "the body is not a JSON object; send one")
        return value


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes, max_body: int
) -> Request:
    """Read the request that starts with `first`.

    Raises RequestError for what is refused, EOFError or ConnectionError when the client leaves halfway.
    """
    try:
        head = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise RequestError(431, "the headers are too large; send less than 64 KiB") from error
    method, target, version, headers = _parse_head(head)
    length = _body_length(headers, max_body)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    url = urlsplit(target)
    return Request(
        method=method,
        path=unquote(url.path),
        query=dict(parse_qsl(url.query)),
        headers=headers,
        body=await reader.readexactly(length),
        keep_alive=version == "HTTP/1.1" and headers.get("connection", "").lower() != "close",
    )


def _parse_head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    start, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    parts = start.split(" ")
    if len(parts) != 3 or parts[2] not in {"HTTP/1.1", "HTTP/1.0"}:
        raise RequestError(400, f"no HTTP/1.1 request line: {start[:80]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise RequestError(400, f"malformed header line: {line[:80]!r}")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return parts[0], parts[1], parts[2], headers


def _body_length(headers: Mapping[str, str], max_body: int) -> int:
    if "transfer-encoding" in headers:
        raise RequestError(411, "chunked bodies are not read here; send a Content-Length")
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise RequestError(400, f"Content-Length {text!r} is no number")
    if int(text) > max_body:
        raise RequestError(413, f"the body is over {max_body} bytes; start the mock with a larger --max-body")
    return int(text)


class Reply:
    """The answer to one request; `status` is None until something was written."""

    def __init__(self, writer: asyncio.StreamWriter, *, keep_alive: bool) -> None:
        self._writer = writer
        self.keep_alive = keep_alive
        self.client_gone = False
        self.status: int | None = None

    async def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._write_head(status, {"content-length": str(len(body)), **(headers or {})})
        self._writer.write(body)
        await self._writer.drain()

    async def send_json(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        await self.send(status, json.dumps(value).encode(), headers)

    async def send_half(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Announce the whole body, write half of it, close."""
        self._write_head(200, {"content-length": str(len(body)), **headers})
        self._writer.write(body[: len(body) // 2])
        await self._writer.drain()
        self.close()

    async def start_stream(self, headers: Mapping[str, str]) -> None:
        self._write_head(
            200, {"transfer-encoding": "chunked", **headers, "content-type": "text/event-stream; charset=utf-8"}
        )
        await self._writer.drain()

    async def send_event(self, data: str, name: str | None = None) -> None:
        event = (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()
        self._writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await self._writer.drain()

    async def end_stream(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def close(self) -> None:
        self.keep_alive = False
        self._writer.close()

    def reset(self) -> None:
        """Drop the connection with a RST: SO_LINGER of zero seconds, then close."""
        self.keep_alive = False
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def _write_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
        fields = {
            "content-type": "application/json",
            "connection": "keep-alive" if self.keep_alive else "close",
            **headers,
        }
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in fields.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
