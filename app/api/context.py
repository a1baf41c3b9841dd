"""What every view has: the container, and the caller behind the request's API key."""

import re
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast
from urllib.parse import unquote

from flask import Flask, current_app, request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException, NotFound

from app.adapters.metrics import ApiMetrics
from app.api.exchange import exchange
from app.api.limits import charge
from app.container import Container
from app.domain.errors import InsufficientScopeError, InvalidRequestError
from app.domain.rates import Bucket
from app.domain.scopes import Scope
from app.services.keys import Caller

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

P = ParamSpec("P")
R = TypeVar("R")

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
    found = exchange(request.environ).caller
    assert found, "the view requires no scope"
    return found


def requires(scope: Scope, bucket: Bucket = "poll") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a view run only for those whom `admit` lets in."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            admit(container(), request.environ, scope, bucket)
            return view(*args, **kwargs)

        guarded.scope = scope  # type: ignore[attr-defined]
        guarded.bucket = bucket  # type: ignore[attr-defined]
        return guarded

    return decorate


def admit(services: Container, environ: "WSGIEnvironment", scope: Scope, bucket: Bucket) -> Caller:
    """Who is asking, with a valid API key that has `scope`. The request counts against the key's rate for `bucket`.

    Raises InvalidKeyError, RateLimitedError, InsufficientScopeError, and InvalidRequestError for two keys in one
    request.
    """
    begun = exchange(environ)
    found = begun.caller = services.keys.verify(_presented_key(environ))
    charge(services.limiter, begun, found, bucket)
    if scope not in found.scopes:
        raise InsufficientScopeError(f"This API key lacks the scope `{scope}`. Use one that has it.")
    return found


def _presented_key(environ: "WSGIEnvironment") -> str:
    credentials: str = environ.get("HTTP_AUTHORIZATION", "")
    other: str = environ.get("HTTP_X_API_KEY", "")
    if _repeated(credentials) or "," in other:
        raise InvalidRequestError("Send one API key in one header.", code="duplicate_header")
    scheme, _, key = credentials.partition(" ")
    if credentials and scheme.lower() != "bearer":
        return ""
    return key.strip() or other


def _repeated(credentials: str) -> bool:
    """Whether there were several Authorization headers: WSGI joins them with a comma, which no key contains.

    In other schemes, such as Digest, one that a parameter `name=value` follows is their own (RFC 9110, section 11.4).
    """
    first, *rest = _QUOTED.sub("", credentials).split(",")
    return bool(rest) and (first.lower().startswith("bearer ") or not all(map(_PARAMETER.match, rest)))


def register(app: Flask) -> None:
    """Have every request routed as its path is meant, and its exchange go on."""
    app.before_request(_keep_encoded_slashes)
    app.before_request(_continue_exchange)


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


def _continue_exchange() -> None:
    """Note the route; if a part before Flask has met an error, have it answered instead of the view."""
    begun = exchange(request.environ)
    if begun.error:
        raise begun.error
    begun.route = request.url_rule.rule if request.url_rule else begun.route
