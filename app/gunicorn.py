"""How gunicorn serves the API: `gunicorn --config python:app.gunicorn "app.factory:create_app()"`."""

import json
import os
import socket
import struct
import time
import traceback
from typing import Any

import gevent
from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.http import wsgi
from gunicorn.http.errors import InvalidHeader, LimitRequestHeaders, LimitRequestLine, ParseException

from app.adapters import metric_files
from app.api.backpressure import aside
from app.api.draining import DrainingWorker
from app.api.headers import EVERY, new_request_id
from app.domain.errors import ConfigurationError
from app.logs import TextFormatter, formatter
from app.open_files import raise_limit
from app.settings import load_settings

# Greenlets: a request waits on Postgres or the broker, hardly ever on this process. WEB_CONCURRENCY sets how
# many processes there are, as gunicorn itself has it.
worker_class = "app.gunicorn.Worker"
worker_connections = 10_000
# A worker that does not come back to its loop for this long is killed. Requests may take longer.
timeout = 60
# On SIGTERM running requests may finish for this long; `app.api.draining` says what happens to longer ones.
graceful_timeout = 30
# Longer than the usual 60 s of a load balancer, which must be the one to close idle connections. A request's head must
# be there within this time too, its body within as much again, and each write of the answer: for 10 MiB that takes
# 1.1 Mbit/s.
keepalive = 75
# Heartbeat files on a disk can block; in memory they do not.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112 - a name that nobody picks  # nosec B108
# The request log is the app's own, with ids.
accesslog = None
logger_class = "app.gunicorn.Log"
# gunicorn's control socket lies in the user's home: two deployments of one user would share it.
control_socket_disable = True
# By default gunicorn answers a header SCRIPT_NAME, which a proxy on this machine may let through, with a 500.
forwarder_headers = ""
# Nothing asks for the scheme, so nobody can be refused for what proxies and clients say of it.
secure_scheme_headers: dict[str, str] = {}

# Here, in the master: its workers inherit the limit.
raise_limit()


def on_starting(server: Any) -> None:
    """Make the folder in which all processes count together."""
    made = metric_files.make(server.cfg.worker_tmp_dir)
    os.chown(made, server.cfg.uid, server.cfg.gid)
    on_reload(server)


def on_reload(server: Any) -> None:
    """Have the processes that are forked from here on know the folder."""
    where = metric_files.folder()
    server.cfg.set("raw_env", [*server.cfg.raw_env, f"{metric_files.VARIABLE}={where}"])


def child_exit(server: Any, worker: Any) -> None:
    """Keep what an ended process counted, and drop its gauges, however it ended."""
    metric_files.forget(worker.pid)


def on_exit(server: Any) -> None:
    """Leave nothing behind."""
    metric_files.remove()


# Bytes of a body after which others get their turn.
_TURN = 65_536
# On, and no seconds to linger.
_RESET = struct.pack("ii", 1, 0)


class Worker(DrainingWorker):
    """gunicorn's gevent worker, but a body has to come in time, and what gunicorn itself refuses gets the API's JSON.

    Its own answers are HTML and repeat what the client sent, which its log does too.
    """

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> None:
        """Serve one request whose head is read."""
        seconds = self.cfg.keepalive or keepalive
        req.body.reader = _TimelyReader(req, seconds)
        # Of each write: a reply, or one event of a stream. A client that reads nothing would hold it for ever.
        sock.settimeout(seconds)
        try:
            super().handle_request(listener_name, req, sock, addr)
        except TimeoutError:
            self.log.info("a client did not read its answer in time, connection closed")
            # Else the kernel would go on offering what is left.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            raise StopIteration from None
        finally:
            sock.settimeout(None)
            if req.must_close:
                # What the client is still sending would reset the connection, and its answer with it.
                util.close_graceful(sock)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer what never reached the app, or broke outside it; gunicorn closes the connection then."""
        status, code, message = _refusal(exc)
        self._flask.extensions["metrics"].refused(code)
        request_id = new_request_id()
        at = traceback.extract_tb(exc.__traceback__)[-1]
        level = self.log.error if code == "server_error" else self.log.warning
        level("%s: %s at %s:%s request_id=%s", status, type(exc).__name__, at.filename, at.lineno, request_id)
        kind = "server_error" if code == "server_error" else "invalid_request_error"
        body = json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}) + "\n"
        head = [
            f"HTTP/1.1 {status}",
            "Connection: close",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"X-Request-Id: {request_id}",
            *(f"{name}: {value}" for name, value in EVERY.items()),
        ]
        try:
            util.write_nonblock(client, "\r\n".join([*head, "", body]).encode())
        except OSError as error:
            self.log.debug("refusal not sent: %s", type(error).__name__)
        util.close_graceful(client)


class Log(Logger):  # type: ignore[misc]
    """gunicorn's own log, in the format of the app's: one record a line, whatever it tells of."""

    def setup(self, cfg: Any) -> None:
        """Set up the handlers, for a start or a reload."""
        super().setup(cfg)
        try:
            made = formatter(load_settings())
        except ConfigurationError:
            # The app says what is wrong when it is made.
            made = TextFormatter()
        for handler in self.error_log.handlers:
            handler.setFormatter(made)


class _Response(wsgi.Response):  # type: ignore[misc]
    """gunicorn's, but it does not say what serves it; there is no setting for that."""

    def default_headers(self) -> list[str]:
        """The first line and the headers of every answer."""
        return [line for line in super().default_headers() if not line.startswith("Server:")]


wsgi.Response = _Response


class _TimelyReader:
    """Reads a body, which has to be there in time, and lets other requests run while it comes."""

    def __init__(self, req: Any, seconds: float) -> None:
        self._req = req
        self._reader = req.body.reader
        self._until = time.monotonic() + seconds
        self._in_a_row = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes.

        Raises TimeoutError when the time is up, and for chunks that are none. The app takes both for a client that
        left; and gunicorn, which itself reads what the app does not want, closes the connection without a word.
        """
        # A client that always has more to send would not let anybody else run. Not each time: gunicorn reads by the
        # kilobyte, and a switch costs more than that.
        if self._in_a_row >= _TURN:
            self._in_a_row = 0
            gevent.sleep(0)
        left = self._until - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            with gevent.Timeout(left, TimeoutError), aside():
                data: bytes = self._reader.read(size)
        except (ParseException, TimeoutError):
            self._req.force_close()
            raise TimeoutError from None
        self._in_a_row += len(data)
        return data


def _refusal(exc: BaseException) -> tuple[str, str, str]:
    """Status, code and message."""
    match exc:
        case LimitRequestLine():
            return "414 URI Too Long", "uri_too_long", "The address is too long. Shorten its query."
        case LimitRequestHeaders():
            message = "The headers are too large. Send fewer, and shorter ones."
            return "431 Request Header Fields Too Large", "headers_too_large", message
        case InvalidHeader(hdr="IDEMPOTENCY-KEY"):
            message = "An idempotency key has 1 to 255 characters, none of them a control character."
            return "400 Bad Request", "invalid_idempotency_key", message
        case ParseException():
            return "400 Bad Request", "invalid_http", "The request is not well-formed HTTP/1.1. Use an HTTP library."
    message = "Something went wrong. Try again; if it recurs, report the request id."
    return "500 Internal Server Error", "server_error", message
