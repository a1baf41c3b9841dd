"""The document itself, and how it and its page are kept: made once, when somebody first asks, and named by an ETag."""

import json
from collections.abc import Callable
from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, request

from app.api.openapi.document import describe
from app.api.openapi.shapes.answers import OpenAPIDocument
from app.api.operation import Answer, operation
from app.domain.requests import JSON

blueprint = Blueprint("openapi", __name__)

UNCHANGED = Answer("It has not changed.", headers=("ETag",))


@blueprint.get("/openapi.json")
@operation(
    answers={200: Answer("The document.", OpenAPIDocument, headers=("ETag",)), 304: UNCHANGED},
    headers=("If-None-Match",),
    errors=("overloaded",),
)
def document() -> Response:
    """Get the API as an OpenAPI 3.1 document.

    It is made from the code that validates requests.
    """
    body = kept("openapi.json", lambda app: json.dumps(described(app), ensure_ascii=False).encode())
    return published(body, "application/json")


def described(app: Flask) -> JSON:
    """The document, which is made once."""
    return cast("JSON", _kept(app, "openapi", describe))


def kept(name: str, make: Callable[[Flask], bytes]) -> bytes:
    """What was made under this name before, or is made now."""
    return cast("bytes", _kept(current_app, name, make))


def published(body: bytes, content_type: str) -> Response:
    """A body that only a new release changes: clients may keep it, and ask whether it is still the right one."""
    response = Response(body, content_type=content_type)
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


def _kept(app: Flask, name: str, make: Callable[[Flask], Any]) -> Any:
    # Two requests at the same moment may both make it, and make the same.
    made = app.extensions.get(name)
    if made is None:
        made = app.extensions[name] = make(app)
    return made
