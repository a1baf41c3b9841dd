"""How an API process leaves: what clients have sent is answered, and nothing is cut that can be ended."""

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gevent
from gevent.pool import Pool
from gunicorn.sock import ssl_context
from gunicorn.workers.ggevent import GeventWorker

from app.api.accepting import Server
from app.api.request_log import LATENCY
from app.garbage import leave_out_what_is_loaded

LINGER = 1 / 6
"""Share of the graceful timeout for which a connection that was kept alive may bring one more request."""
LAST_CALL = 5 / 6
"""Share of the graceful timeout after which streams and synchronous requests are ended."""
POLL = 0.1
"""Seconds between two looks at who is still there."""


@dataclass(frozen=True, slots=True)
class _Address:
    """Stands for a listening socket, whose name gunicorn asks for also when it is closed."""

    name: Any

    def getsockname(self) -> Any:
        return self.name


class DrainingWorker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's gevent worker, but at SIGTERM it resets nobody who has connected, tells who keeps a connection that it
    is closed, and ends what takes longer than the graceful timeout. gunicorn's own waits for idle connections until
    its time is over, and then cuts whatever still runs.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._idle_since: dict[socket.socket, float] = {}
        self._requests: dict[socket.socket, Any] = {}
        self.wsgi: Any = None
        self._flask: Any = None

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self._flask, self.wsgi = self.wsgi, self._answer
        self._flask.extensions["request_log"].later = partial(gevent.spawn_later, LATENCY)
        leave_out_what_is_loaded()

    def run(self) -> None:
        """Serve until SIGTERM, then drain."""
        try:
            self._run()
        finally:
            self._flask.extensions["request_log"].flush()

    def _run(self) -> None:
        servers = [self._open(listener) for listener in self.sockets]
        while self.alive:
            self.notify()
            self._flask.extensions["metrics"].sample()
            gevent.sleep(1.0)
        for server in servers:
            _close(server)
        self._drain([server.pool for server in servers])

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve one connection."""
        self._idle_since[client] = time.monotonic()
        try:
            super().handle(listener, client, addr)
        finally:
            self._idle_since.pop(client, None)

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> None:
        """Serve one request whose head is read."""
        self._idle_since.pop(sock, None)
        self._requests[sock] = req
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            del self._requests[sock]
            self._idle_since[sock] = time.monotonic()

    def _open(self, listener: Any) -> Server:
        listener.setblocking(1)
        tls = {"ssl_context": ssl_context(self.cfg)} if self.cfg.is_ssl else {}
        handle = partial(self.handle, _Address(listener.getsockname()))
        server = Server(listener, handle=handle, spawn=Pool(self.worker_connections), **tls)
        server.start()
        return server

    def _answer(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(*head: Any) -> Any:
            # Said with the head, or not at all: on what was not said to be closed a client may send again.
            if not self.alive:
                self._requests[environ["gunicorn.socket"]].force_close()
            return start_response(*head)

        answer: Iterable[bytes] = self._flask(environ, start)
        return answer

    def _drain(self, pools: Sequence[Pool]) -> None:
        """Until nobody is connected any more, or the graceful timeout is over."""
        began, grace = time.monotonic(), float(self.cfg.graceful_timeout)
        watch = self._flask.extensions["simmer"].watch
        watch.leave()
        while any(pools):
            passed = time.monotonic() - began
            if passed >= grace:
                self.log.warning("leaving with %s requests unanswered", len(self._requests))
                return
            if passed >= grace * LAST_CALL:
                watch.close()
            self._hang_up(began, grace * LINGER)
            self.notify()
            gevent.sleep(POLL)

    def _hang_up(self, began: float, linger: float) -> None:
        before = time.monotonic() - linger
        for connection, since in list(self._idle_since.items()):
            if max(began, since) < before:
                _stop_reading(connection)


def _close(server: Server) -> None:
    """Take in who has connected already: the kernel resets what nobody has accepted."""
    while not server.full() and (accepted := server.do_read()):
        server.do_handle(*accepted)
    server.close()


def _stop_reading(connection: socket.socket) -> None:
    """Have the connection end after what has come so far: a request that is just there is still answered.

    Through a socket object of its own: gevent's would throw an error into the greenlet that reads.
    """
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.shutdown(socket.SHUT_RD)
    except OSError:
        return
