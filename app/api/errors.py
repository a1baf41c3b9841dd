"""Every error as `{"error": {"message", "type", "param", "code"}}`, whoever raised it; never HTML, never the value."""

import logging
from http import HTTPStatus

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.api.exchange import exchange
from app.domain.errors import (
    IdempotencyKeyReusedError,
    IllegalMoveError,
    InsufficientScopeError,
    InvalidKeyError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    RateLimitedError,
    ServiceError,
    SynchronousError,
    UnavailableError,
)
from app.domain.jobs import Failure
from app.logs import raised_at

log = logging.getLogger(__name__)


class UnsupportedMediaTypeError(ServiceError):
    """The body is not declared as plain JSON."""

    code = "unsupported_media_type"


# The first class that matches says status and type.
_MEANINGS: tuple[tuple[type[ServiceError], HTTPStatus, str], ...] = (
    (InvalidKeyError, HTTPStatus.UNAUTHORIZED, "authentication_error"),
    (InsufficientScopeError, HTTPStatus.FORBIDDEN, "permission_error"),
    (NotFoundError, HTTPStatus.NOT_FOUND, "not_found_error"),
    (ModelNotFoundError, HTTPStatus.NOT_FOUND, "invalid_request_error"),
    (UnsupportedMediaTypeError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "invalid_request_error"),
    (InvalidRequestError, HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    (IdempotencyKeyReusedError, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request_error"),
    (IllegalMoveError, HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    (RateLimitedError, HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE, "server_error"),
    (ServiceError, HTTPStatus.INTERNAL_SERVER_ERROR, "server_error"),
)

# What became of the response that a client waited for on the line; all else is a 500.
_SYNCHRONOUS = {
    SynchronousError.code: HTTPStatus.GATEWAY_TIMEOUT,
    Failure.TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    Failure.QUEUE_TIMEOUT: HTTPStatus.SERVICE_UNAVAILABLE,
    Failure.UPSTREAM_RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Failure.UPSTREAM_UNAVAILABLE: HTTPStatus.BAD_GATEWAY,
    Failure.UPSTREAM_ERROR: HTTPStatus.BAD_GATEWAY,
    Failure.UPSTREAM_INVALID_RESPONSE: HTTPStatus.BAD_GATEWAY,
    Failure.INVALID_PROMPT: HTTPStatus.BAD_REQUEST,
    Failure.CONTEXT_LENGTH_EXCEEDED: HTTPStatus.BAD_REQUEST,
}
_TYPES = {HTTPStatus.BAD_REQUEST: "invalid_request_error", HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error"}

# What werkzeug raises before or around our own code.
_HTTP_ERRORS = {
    HTTPStatus.NOT_FOUND: ("not_found_error", "unknown_url", "There is nothing at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        "invalid_request_error",
        "method_not_allowed",
        "This address does not take the method. The Allow header says which it takes.",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("invalid_request_error", "request_too_large", "The body is too large."),
}


def body(message: str, kind: str, code: str, param: str | None = None, **more: str) -> Response:
    """The error in its one shape; all four keys are always there."""
    exchange(request.environ).error_code = code
    return jsonify({"error": {"message": message, "type": kind, "param": param, "code": code, **more}})


def register(app: Flask) -> None:
    """Give the app its error handlers."""
    app.register_error_handler(ServiceError, _service_error)
    app.register_error_handler(SynchronousError, _synchronous_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _service_error(error: ServiceError) -> Response:
    status, kind = next((status, kind) for cls, status, kind in _MEANINGS if isinstance(error, cls))
    response = body(error.message, kind, error.error_code, error.param)
    response.status_code = status
    if isinstance(error, UnavailableError | RateLimitedError):
        response.headers["Retry-After"] = f"{error.retry_after:.0f}"
    if isinstance(error, InvalidKeyError):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _synchronous_error(error: SynchronousError) -> Response:
    """The response exists and can be got by its id. The SDKs must not send it again: the worker has tried enough."""
    status = _SYNCHRONOUS.get(error.error_code, HTTPStatus.INTERNAL_SERVER_ERROR)
    response = body(error.message, _TYPES.get(status, "server_error"), error.error_code, response_id=error.job_id)
    response.status_code = status
    response.headers["X-Should-Retry"] = "false"
    return response


def _http_error(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    server = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    default = ("server_error" if server else "invalid_request_error", "invalid_request", status.phrase + ".")
    kind, code, message = _HTTP_ERRORS.get(status, default)
    response = body(message, kind, code)
    response.status_code = status
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


def _unexpected(error: Exception) -> Response:
    # The error's own text is left out: it may quote the request.
    log.error("unexpected error: %s", type(error).__name__, extra={"fields": {"at": raised_at(error)}})
    message = "Something went wrong. Try again; if it recurs, report the request id."
    response = body(message, "server_error", "server_error")
    response.status_code = HTTPStatus.INTERNAL_SERVER_ERROR
    return response
