"""The plain poll, which is most of what clients send, answered without Flask."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from app.api.context import admit
from app.api.dialect import Dialect
from app.api.exchange import exchange
from app.api.replies import shown
from app.container import Container
from app.domain.ids import parse_public_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Polls:
    """WSGI middleware. A GET of one response that asks for nothing else is answered here, by the parts that the views
    are made of; all else, and every refusal, is Flask's to answer. With Flask a poll takes 0.9 ms of the process,
    without 0.6 (docs/adr/0019).
    """

    def __init__(self, app: "WSGIApplication", services: Container, dialects: Mapping[str, Dialect]) -> None:
        """`dialects` are those of the routes `PATH/<response_id>`, by PATH."""
        self._app = app
        self._services = services
        self._dialects = dialects

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        path, _, response_id = environ["PATH_INFO"].rpartition("/")
        dialect = self._dialects.get(path)
        if dialect is None or not _plain(environ):
            return self._app(environ, start_response)
        begun = exchange(environ)
        begun.route = f"{path}/<response_id>"
        try:
            own = admit(self._services, environ, "responses:read", "poll").api_key_id
            body, headers = shown(dialect, self._services.jobs.get(own, parse_public_id(response_id)))
        except Exception as error:  # noqa: BLE001 - Flask has a handler for each
            begun.error = error
            return self._app(environ, start_response)
        start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
        return [body]


def _plain(environ: "WSGIEnvironment") -> bool:
    get = environ.get
    more = get("QUERY_STRING") or get("HTTP_PREFER") or get("HTTP_IF_NONE_MATCH")
    return environ["REQUEST_METHOD"] == "GET" and not more
