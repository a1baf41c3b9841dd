"""A lean load generator: requests leave on schedule, whether or not earlier ones were answered."""

import asyncio
import gc
import random
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

PATIENCE = 30.0
"""Seconds after the last request for which answers are waited for."""
UNANSWERED = 0
"""The status of a request that got no answer: the connection broke, or it took longer than PATIENCE."""

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: when it was due, from the start of the run, how long its answer took from then on, and its status.

    Times are seconds. Counting from when it was due, not from when it left, no delay is left out.
    """

    due: float
    took: float
    status: int


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with at most one request on it."""

    def __init__(self) -> None:
        self._received = b""
        self._done: Callable[[_Connection, int], None] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish(UNANSWERED)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        length = _LENGTH.search(self._received, 0, end) if end >= 0 else None
        if not length or len(self._received) < end + 4 + int(length[1]):
            return
        status = int(self._received[9:12])
        self._received = b""
        self._finish(status)

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, done: Callable[["_Connection", int], None]) -> None:
        """Call `done` with the status of the answer."""
        self._done = done
        if self._transport is None:
            self._finish(UNANSWERED)
        else:
            self._transport.write(request)

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def _finish(self, status: int) -> None:
        done, self._done = self._done, None
        if done:
            done(self, status)


@dataclass
class Generator:
    """Sends to one server. `keep_alive`: connections are used again, and opened when none is free."""

    host: str
    port: int
    keep_alive: bool = True
    _free: deque[_Connection] = field(default_factory=deque)
    _answered: list[Answered] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def connect(self, number: int) -> None:
        """Open connections beforehand."""
        for _ in range(number):
            self._free.append(await self._open())

    def close(self) -> None:
        """Close all connections."""
        while self._free:
            self._free.pop().close()

    async def open_loop(self, rate: float, seconds: float, requests: Iterator[bytes], seed: int) -> list[Answered]:
        """Send `rate` requests a second at random (Poisson) moments, which `seed` fixes."""
        chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        loop = asyncio.get_running_loop()
        self._answered = []
        with _without_collections():
            start, sent = loop.time(), 0
            for due in accumulate(chance.expovariate(rate) for _ in range(int(rate * seconds))):
                if (pause := start + due - loop.time()) > 0:
                    await asyncio.sleep(pause)
                sent += 1
                self._send(next(requests), start, due)
            deadline = loop.time() + PATIENCE
            while len(self._answered) < sent and loop.time() < deadline:
                await asyncio.sleep(0.05)
        missing = sent - len(self._answered)
        return self._answered + [Answered(seconds, PATIENCE, UNANSWERED)] * missing

    async def closed_loop(self, clients: int, seconds: float, requests: Iterator[bytes]) -> list[Answered]:
        """Have `clients` clients send one request after the other. Raises TimeoutError if one is not answered."""
        loop = asyncio.get_running_loop()
        start, answered = loop.time(), list[Answered]()

        async def client() -> None:
            connection = await self._open()
            while (sent := loop.time() - start) < seconds:
                if not connection.usable:
                    connection = await self._open()
                status: asyncio.Future[int] = loop.create_future()
                connection.send(next(requests), partial(_tell, status))
                code = await status
                answered.append(Answered(sent, loop.time() - start - sent, code))
            connection.close()

        with _without_collections():
            async with asyncio.timeout(seconds + PATIENCE):
                await asyncio.gather(*(client() for _ in range(clients)))
        return answered

    def _send(self, request: bytes, start: float, due: float) -> None:
        loop = asyncio.get_running_loop()

        def done(connection: _Connection, status: int) -> None:
            self._answered.append(Answered(due, loop.time() - start - due, status))
            if not self.keep_alive:
                connection.close()
            elif connection.usable:
                self._free.append(connection)

        while self._free:
            connection = self._free.pop()
            if connection.usable:
                connection.send(request, done)
                return
        task = loop.create_task(self._send_anew(request, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_anew(self, request: bytes, done: Callable[[_Connection, int], None]) -> None:
        try:
            connection = await self._open()
        except OSError:
            connection = _Connection()
        connection.send(request, done)

    async def _open(self) -> _Connection:
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self.host, self.port)
        return connection


@contextmanager
def _without_collections() -> Iterator[None]:
    """For a run. A collection of garbage would stop the load for 70 ms, and each answer would seem to take so much."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _tell(waiting: "asyncio.Future[int]", _: _Connection, status: int) -> None:
    waiting.set_result(status)
