"""A lean asyncio HTTP client for the load: kept-alive connections, a deadline for each request, and streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

MAX_LINE = 4 * 2**20


class NoReplyError(Exception):
    """The connection broke before the whole reply was there: whether the request was served is not known."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole HTTP reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def retry_after(self) -> float:
        """Seconds that the server asks to wait; 0 if it does not."""
        return float(self.headers.get("retry-after", "0"))


@dataclass(slots=True, eq=False)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(slots=True)
class HttpClient:
    """Speaks to one API process. Belongs to one event loop."""

    url: str
    _idle: list[_Connection] = field(default_factory=list)

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, timeout: float
    ) -> Reply:
        """Send one request and read its whole reply. Raises NoReplyError, and TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout), self._reply(method, path, headers, body) as (connection, status, found):
            reply = Reply(status, found, await _read_body(connection.reader, found))
            if found.get("connection", "").lower() != "close":
                self._idle.append(connection)
            return reply

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, timeout: float
    ) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """Send one request; yield the status and the lines of the reply's body as they come, all within `timeout`."""
        async with asyncio.timeout(timeout), self._reply(method, path, headers, body) as (connection, status, found):
            yield status, _lines(connection.reader, found)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()

    @asynccontextmanager
    async def _reply(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> AsyncIterator[tuple[_Connection, int, Mapping[str, str]]]:
        connection = await self._send(_head(self.url, method, path, headers, body) + body)
        try:
            yield connection, *await _read_head(connection.reader)
        except (OSError, EOFError, ValueError) as error:
            raise NoReplyError(f"{method} {path}: {type(error).__name__}") from error
        finally:
            if connection not in self._idle:
                connection.writer.close()

    async def _send(self, data: bytes) -> _Connection:
        try:
            connection = self._take() or await self._connect()
            connection.writer.write(data)
            await connection.writer.drain()
        except OSError as error:
            raise NoReplyError(type(error).__name__) from error
        return connection

    def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            # One that the server has closed meanwhile, as a client library notices too.
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        return None

    async def _connect(self) -> _Connection:
        parts = urlsplit(self.url)
        return _Connection(*await asyncio.open_connection(parts.hostname, parts.port, limit=MAX_LINE))


def _head(url: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    given = {"Host": urlsplit(url).netloc, "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode()


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, Mapping[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", ""):
        return b"".join([chunk async for chunk in _chunks(reader)])
    return await reader.readexactly(int(headers.get("content-length", "0")))


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readline()


async def _lines(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if "chunked" not in headers.get("transfer-encoding", ""):
        yield await _read_body(reader, headers)
        return
    rest = b""
    async for chunk in _chunks(reader):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest
