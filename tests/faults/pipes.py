"""One direction of a connection through the proxy: from a side that reads to a side that writes, at the rules' pace."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

_BACKLOG = 2**20
"""Bytes a pipe holds before it stops reading."""
_SLICES = 20
"""A throttled pipe passes this many portions a second."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class End(Enum):
    """How a sender's bytes end."""

    CLOSED = auto()
    RESET = auto()


@dataclass(frozen=True, slots=True)
class Rules:
    """What happens to the bytes of every connection."""

    refused: bool = False
    held: bool = False
    delay: float = 0.0
    rate: float | None = None
    """Bytes a second, in each direction of each connection."""
    deaf: bool = False
    """Replies are dropped."""
    trap: bytes | None = None
    """The next reply to a request with these bytes is dropped, and its client reset."""
    cut: int | None = None
    """Bytes of reply after which a connection is reset."""


class Side(asyncio.Protocol):
    """One end of a link: hands over what it reads, and says when its peer must wait."""

    transport: asyncio.Transport | None = None
    full: Callable[[bool], None]
    """Told whether the network takes no more from here; set by the pipe that ends here."""

    def __init__(self, read: Callable[[bytes | End], None], made: Callable[[], None] | None = None) -> None:
        self._read = read
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._made:
            self._made()

    def data_received(self, data: bytes) -> None:
        self._read(data)

    def eof_received(self) -> bool:
        self._read(End.CLOSED)
        return True  # the other direction stays open

    def connection_lost(self, error: Exception | None) -> None:
        if error:
            self._read(End.RESET)

    def pause_writing(self) -> None:
        self.full(True)

    def resume_writing(self) -> None:
        self.full(False)

    def write(self, item: bytes | End) -> None:
        if not self.transport or self.transport.is_closing():
            return
        if isinstance(item, bytes):
            self.transport.write(item)
            return
        # The other end may have been reset meanwhile: its end is then news no more.
        with suppress(OSError):
            self.transport.write_eof()

    def close(self) -> None:
        if self.transport:
            self.transport.close()

    def reset(self) -> None:
        if not self.transport:
            return
        connection = self.transport.get_extra_info("socket")
        if connection.fileno() >= 0:  # it may have been lost while its end was held back
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    def read_on(self, wanted: bool) -> None:
        if not self.transport or self.transport.is_closing() or self.transport.is_reading() == wanted:
            return
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()


class Pipe:
    """One direction: what was read waits here until the rules let it go. `send` gets it, piece by piece."""

    def __init__(
        self, rules: Callable[[], Rules], source: Side, sink: Side, send: Callable[[bytes | End], None]
    ) -> None:
        self._rules = rules
        self._source = source
        self._sink = sink
        sink.full = self._note_full
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._backlog: deque[tuple[float, bytes | End]] = deque()
        self._size = 0
        self._full = False
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, item: bytes | End) -> None:
        self._backlog.append((self._loop.time(), item))
        self._size += _length(item)
        self.pump()

    def _note_full(self, full: bool) -> None:
        self._full = full
        self._regulate()

    def close(self) -> None:
        """Nothing more goes, also of what waits here."""
        self._backlog.clear()
        self._stop()

    def pump(self) -> None:
        """Pass on what may go now, and come back when the next may."""
        self._stop()
        while self._backlog and self._sink.transport and not self._rules().held:
            read_at, item = self._backlog[0]
            due_at = max(read_at + self._rules().delay, self._free_at)
            if due_at > self._loop.time():
                self._timer = self._loop.call_at(due_at, self.pump)
                break
            self._backlog.popleft()
            self._pass(read_at, item)
        self._regulate()

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _pass(self, read_at: float, item: bytes | End) -> None:
        rate = self._rules().rate
        if rate and isinstance(item, bytes):
            portion = max(1, int(rate / _SLICES))
            item, rest = item[:portion], item[portion:]
            self._free_at = self._loop.time() + len(item) / rate
            if rest:
                self._backlog.appendleft((read_at, rest))
        else:
            self._free_at = 0.0
        self._size -= _length(item)
        self._send(item)

    def _regulate(self) -> None:
        self._source.read_on(not self._full and self._size < _BACKLOG)


def _length(item: bytes | End) -> int:
    return len(item) if isinstance(item, bytes) else 0
