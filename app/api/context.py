"""What every request has: the container, a request id, and the caller behind its API key."""

import logging
import re
import secrets
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast
from urllib.parse import unquote

from flask import Flask, Response, current_app, g, request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException, NotFound

from app.adapters.metrics import ApiMetrics
from app.api.headers import EVERY
from app.api.limits import charge
from app.api.tracing import answered
from app.container import Container
from app.domain.errors import InsufficientScopeError, InvalidRequestError
from app.domain.rates import Bucket
from app.domain.scopes import Scope
from app.logs import bind
from app.services.keys import Caller

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

_CLIENT_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"')
_PARAMETER = re.compile(r"\s*[\w!#$%&'*+.^`|~-]+\s*=", re.ASCII)


def container() -> Container:
    """The parts of this process."""
    return cast("Container", current_app.extensions["simmer"])


def metrics() -> ApiMetrics:
    """What this process counts."""
    return cast("ApiMetrics", current_app.extensions["metrics"])


def caller() -> Caller:
    """Who is asking; only inside a view that `requires` a scope."""
    return cast("Caller", g.caller)


def requires(scope: Scope, bucket: Bucket = "poll") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a view run only for a valid API key that has `scope`.

    Each request counts against the key's rate for `bucket`. Raises InvalidKeyError, RateLimitedError,
    InsufficientScopeError, and InvalidRequestError for two keys in one request.
    """

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            g.caller = container().keys.verify(_presented_key())
            charge(container().limiter, caller(), bucket)
            if scope not in g.caller.scopes:
                raise InsufficientScopeError(f"This API key lacks the scope `{scope}`. Use one that has it.")
            return view(*args, **kwargs)

        guarded.scope = scope  # type: ignore[attr-defined]
        guarded.bucket = bucket  # type: ignore[attr-defined]
        return guarded

    return decorate


def _presented_key() -> str:
    credentials = request.headers.get("Authorization", "")
    if _repeated(credentials) or "," in request.headers.get("X-API-Key", ""):
        raise InvalidRequestError("Send one API key in one header.", code="duplicate_header")
    scheme, _, key = credentials.partition(" ")
    if credentials and scheme.lower() != "bearer":
        return ""
    return key.strip() or request.headers.get("X-API-Key", "")


def _repeated(credentials: str) -> bool:
    """Whether there were several Authorization headers: WSGI joins them with a comma, which no key contains.

    In other schemes, such as Digest, one that a parameter `name=value` follows is their own (RFC 9110, section 11.4).
    """
    first, *rest = _QUOTED.sub("", credentials).split(",")
    return bool(rest) and (first.lower().startswith("bearer ") or not all(map(_PARAMETER.match, rest)))


def register(app: Flask) -> None:
    """Give every request an id and a log line."""
    app.before_request(_begin)
    app.before_request(_keep_encoded_slashes)
    app.after_request(_end)


def _begin() -> None:
    g.started_at = time.monotonic()
    g.request_id = f"req_{secrets.token_hex(16)}"
    bind(request_id=g.request_id)


def _keep_encoded_slashes() -> None:
    """Route once more what was found nowhere: an encoded slash belongs to an id, and parts nothing (RFC 3986, 2.2)."""
    path = request.environ.get("RAW_URI", "").partition("?")[0]
    if not isinstance(request.routing_exception, NotFound) or not _ENCODED_SLASH.search(path):
        return
    assert request_ctx.url_adapter
    try:
        rule, arguments = request_ctx.url_adapter.match(unquote(_ENCODED_SLASH.sub("%252f", path)), return_rule=True)
        request.url_rule, request.view_args, request.routing_exception = rule, dict(arguments), None
    except HTTPException as error:
        request.routing_exception = error


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    set_already = {name.lower() for name, _ in response.headers}
    response.headers.extend((name, value) for name, value in EVERY.items() if name.lower() not in set_already)
    # The rule, not the path: what a client puts into an unknown path is its own secret.
    route = request.url_rule.rule if request.url_rule else "-"
    seconds = time.monotonic() - g.started_at
    metrics().answered(route, request.method, response.status_code, seconds, g.get("error_code"))
    answered(request.method, route, response.status_code, g.request_id)
    fields = {
        "method": request.method,
        "route": route,
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
    }
    client_id = request.headers.get("X-Client-Request-Id", "")
    if _CLIENT_REQUEST_ID.fullmatch(client_id):
        fields["client_request_id"] = client_id
    log.info("request", extra={"fields": fields})
    return response
