"""A connection that ends at a deadline, however slowly the other side drips, and after a number of bytes."""

import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpcore2

from app.domain.webhook_addresses import Address

_PIECE = 16_384


class DeadlineError(Exception):
    """The time is up."""


class Deadline:
    """A point in time that all steps share."""

    def __init__(self, seconds: float) -> None:
        self._started = time.monotonic()
        self._seconds = seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds until the end, always more than 0. Raises DeadlineError when it has come."""
        left = self._seconds - self.elapsed
        if left <= 0:
            raise DeadlineError
        return left


def connect(addresses: Sequence[Address], port: int, deadline: Deadline) -> socket.socket:
    """A socket connected to the first address that takes it; each has its share of the time.

    Raises OSError if none does, DeadlineError if the last is too slow.
    """
    failure: OSError = OSError("no address")
    for tries_left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(deadline.left / tries_left)
            connection.connect((str(address), port))
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    if isinstance(failure, TimeoutError):
        raise DeadlineError from failure
    raise failure


class Stream(httpcore2.NetworkStream):
    """The socket as httpcore2 wants it. What httpcore2 says of time-outs is not listened to: the deadline holds."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._socket = connection
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._socket.settimeout(self._deadline.left)
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise DeadlineError from error
        except OSError as error:
            raise httpcore2.ReadError from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        try:
            while view:
                # Not sendall(): for it the time-out begins anew with each piece, under gevent.
                self._socket.settimeout(self._deadline.left)
                view = view[self._socket.send(view) :]
        except TimeoutError as error:
            raise DeadlineError from error
        except OSError as error:
            raise httpcore2.WriteError from error

    def close(self) -> None:
        self._socket.close()


class TlsStream(httpcore2.NetworkStream):
    """TLS over a stream. An SSLSocket would begin its time-out anew with each packet, under gevent."""

    def __init__(self, below: Stream, context: ssl.SSLContext, host: str) -> None:
        """Shake hands; the certificate has to be one for `host`. Raises ssl.SSLError."""
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        try:
            self._until_done(self._tls.do_handshake)
        except ssl.SSLError:
            # The alert says to the other side what was wrong.
            with suppress(httpcore2.WriteError, DeadlineError):
                self._flush()
            raise

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return bytes(self._until_done(self._tls.read, max_bytes))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            # Many close without saying so in TLS; whether the reply is complete is for HTTP to say.
            return b""
        except ssl.SSLError as error:
            raise httpcore2.ReadError from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._until_done(self._tls.write, buffer)
        except ssl.SSLError as error:
            raise httpcore2.WriteError from error

    def close(self) -> None:
        self._below.close()

    def _until_done(self, step: Any, *arguments: Any) -> Any:
        while True:
            try:
                result = step(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if outgoing := self._outgoing.read():
            self._below.write(outgoing)

    def _feed(self) -> None:
        if incoming := self._below.read(_PIECE):
            self._incoming.write(incoming)
        else:
            self._incoming.write_eof()


class Limited(httpcore2.NetworkStream):
    """A stream that seems to end after `limit` bytes were read."""

    def __init__(self, below: httpcore2.NetworkStream, limit: int) -> None:
        self._below = below
        self.left = limit

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self.left:
            return b""
        data = self._below.read(min(max_bytes, self.left), timeout)
        self.left -= len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._below.write(buffer, timeout)

    def close(self) -> None:
        self._below.close()
