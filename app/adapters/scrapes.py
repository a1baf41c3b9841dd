"""A small web server for what asks an exporter: `/metrics`, and `/healthz` for whoever watches the process."""

import logging
from collections.abc import Iterable
from hmac import compare_digest
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds that a client may take for its request."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the class above
        """Scrapes are not worth a line."""
        log.debug("scraped")


def server(address: str, port: int, registry: CollectorRegistry, token: str = "") -> WSGIServer:  # nosec B107
    """Listen; `serve_forever()` answers. With a `token`, only to who sends it as `Authorization: Bearer TOKEN`."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        status, body = _answer(environ, registry, token)
        start_response(status, [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4), ("Content-Length", str(len(body)))])
        return [body]

    return make_server(address, port, answer, _Server, _Handler)


def _answer(environ: "WSGIEnvironment", registry: CollectorRegistry, token: str) -> tuple[str, bytes]:
    if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
        return "405 Method Not Allowed", b""
    if environ["PATH_INFO"] == "/healthz":
        return "200 OK", b"ok\n"
    if environ["PATH_INFO"] != "/metrics":
        return "404 Not Found", b"Ask for /metrics.\n"
    if token and not compare_digest(environ.get("HTTP_AUTHORIZATION", "").encode(), f"Bearer {token}".encode()):
        return "401 Unauthorized", b"Send the token of SIMMER_METRICS_TOKEN as Authorization: Bearer TOKEN.\n"
    return "200 OK", generate_latest(registry)
