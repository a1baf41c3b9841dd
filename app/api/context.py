"""What every request has: the container, a request id, and the caller behind its API key."""

import logging
import re
import secrets
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from flask import Flask, Response, current_app, g, request

from app.container import Container
from app.domain.errors import InsufficientScopeError, InvalidRequestError
from app.logs import bind
from app.services.keys import Caller, Scope

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

_CLIENT_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


def container() -> Container:
    """The parts of this process."""
    return cast("Container", current_app.extensions["simmer"])


def caller() -> Caller:
    """Who is asking; only inside a view that `requires` a scope."""
    return cast("Caller", g.caller)


def requires(scope: Scope) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a view run only for a valid API key that has `scope`.

    Raises InvalidKeyError, InsufficientScopeError, and InvalidRequestError for two keys in one request.
    """

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            g.caller = container().keys.verify(_presented_key())
            if scope not in g.caller.scopes:
                raise InsufficientScopeError(f"This API key lacks the scope `{scope}`. Use one that has it.")
            return view(*args, **kwargs)

        guarded.scope = scope  # type: ignore[attr-defined]
        return guarded

    return decorate


def _presented_key() -> str:
    bearer = request.headers.get("Authorization", "")
    # WSGI joins repeated headers with a comma, which no key contains.
    if "," in bearer or "," in request.headers.get("X-API-Key", ""):
        raise InvalidRequestError("Send one API key in one header.", code="duplicate_header")
    scheme, _, key = bearer.partition(" ")
    if bearer and scheme.lower() != "bearer":
        return ""
    return key.strip() or request.headers.get("X-API-Key", "")


def register(app: Flask) -> None:
    """Give every request an id and a log line."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.started_at = time.monotonic()
    g.request_id = f"req_{secrets.token_hex(16)}"
    bind(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    fields = {
        "method": request.method,
        # The rule, not the path: what a client puts into an unknown path is its own secret.
        "route": request.url_rule.rule if request.url_rule else "-",
        "status": response.status_code,
        "ms": round((time.monotonic() - g.started_at) * 1000, 1),
    }
    client_id = request.headers.get("X-Client-Request-Id", "")
    if _CLIENT_REQUEST_ID.fullmatch(client_id):
        fields["client_request_id"] = client_id
    log.info("request", extra={"fields": fields})
    return response
