"""Every error as `{"error": {"message", "type", "param", "code"}}`, whoever raised it; never HTML, never the value."""

import logging
from http import HTTPStatus

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.domain.errors import (
    IllegalMoveError,
    InsufficientScopeError,
    InvalidKeyError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
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
    (IllegalMoveError, HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE, "server_error"),
    (ServiceError, HTTPStatus.INTERNAL_SERVER_ERROR, "server_error"),
)

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


def body(message: str, kind: str, code: str, param: str | None = None) -> Response:
    """The error in its one shape; all four keys are always there."""
    return jsonify({"error": {"message": message, "type": kind, "param": param, "code": code}})


def register(app: Flask) -> None:
    """Give the app its error handlers."""
    app.register_error_handler(ServiceError, _service_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _service_error(error: ServiceError) -> Response:
    status, kind = next((status, kind) for cls, status, kind in _MEANINGS if isinstance(error, cls))
    response = body(error.message, kind, error.error_code, error.param)
    response.status_code = status
    if isinstance(error, UnavailableError):
        response.headers["Retry-After"] = f"{error.retry_after:.0f}"
    if isinstance(error, InvalidKeyError):
        response.headers["WWW-Authenticate"] = "Bearer"
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
