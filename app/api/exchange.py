"""What surrounds every answer, whoever makes it: a request id, the headers that all have, a log line, the metrics."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from app.api.headers import EVERY, new_request_id
from app.api.request_log import RequestLog
from app.api.tracing import answered
from app.logs import bind
from app.services.keys import Caller

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from app.adapters.metrics import ApiMetrics

_KEY = "simmer.exchange"
_CLIENT_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_EVERY = [(name, name.lower(), value) for name, value in EVERY.items()]


@dataclass(slots=True)
class Exchange:
    """A request, and what is found out about it on the way to its answer."""

    request_id: str
    started_at: float
    route: str = "-"
    """The rule, not the path: what a client puts into an unknown path is its own secret."""
    caller: Caller | None = None
    headers: Iterable[tuple[str, str]] = ()
    """What the answer says beside what its view says."""
    error: Exception | None = None
    """What a part before Flask met: Flask is to answer it as it answers all errors."""
    error_code: str | None = None


def exchange(environ: "WSGIEnvironment") -> Exchange:
    """The one of this request."""
    return cast("Exchange", environ[_KEY])


def begin(environ: "WSGIEnvironment") -> Exchange:
    """That of a request which has just come."""
    made = environ[_KEY] = Exchange(new_request_id(), time.monotonic())
    return made


class Exchanges:
    """WSGI middleware: begins and ends the exchange of every request that `app` answers."""

    def __init__(self, app: "WSGIApplication", metrics: "ApiMetrics", log: RequestLog) -> None:
        """Count in `metrics`, and tell `log`."""
        self._app = app
        self._metrics = metrics
        self._log = log

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        begun = begin(environ)
        bind(request_id=begun.request_id)

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            self._end(begun, environ, int(status[:3]))
            return start_response(status, _complete(begun, headers), *error)

        return self._app(environ, start)

    def _end(self, begun: Exchange, environ: "WSGIEnvironment", status: int) -> None:
        method = environ["REQUEST_METHOD"]
        seconds = time.monotonic() - begun.started_at
        self._metrics.answered(begun.route, method, status, seconds, begun.error_code)
        answered(method, begun.route, status, begun.request_id)
        fields = {"method": method, "route": begun.route, "status": status, "ms": round(seconds * 1000, 1)}
        client_id = environ.get("HTTP_X_CLIENT_REQUEST_ID", "")
        if _CLIENT_REQUEST_ID.fullmatch(client_id):
            fields["client_request_id"] = client_id
        self._log.add(begun.request_id, fields)


def _complete(begun: Exchange, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    given = {name.lower() for name, _ in headers}
    every = [(name, value) for name, lower, value in _EVERY if lower not in given]
    return [*headers, *begun.headers, ("X-Request-Id", begun.request_id), *every]
