"""A span for each request, which goes on from the client's `traceparent` if it sent one."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from app.domain import tracing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

UNTRACED = {"/healthz", "/readyz", "/metrics"}
"""What is asked all the time, by machines."""


class Traced:
    """WSGI middleware. The span ends with the answer's head: streams go on without it."""

    def __init__(self, app: "WSGIApplication") -> None:
        """Trace `app`."""
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] in UNTRACED:
            return self._app(environ, start_response)
        headers = {name: environ.get(f"HTTP_{name.upper()}") for name in tracing.CARRIED}
        with tracing.continued(headers), tracing.span("request", "server"):
            return self._app(environ, start_response)


def answered(method: str, route: str, status: int, request_id: str) -> None:
    """Say what the request was. Its path is not said: in an unknown one a client may have put a secret."""
    if tracing.is_on():
        said = {"http.request.method": method, "http.route": route, "simmer.request.id": request_id}
        tracing.note({**said, "http.response.status_code": status}, f"{method} {route}")
