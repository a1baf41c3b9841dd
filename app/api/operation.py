"""What a route takes and answers, declared once: it validates the requests, and becomes the OpenAPI document."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast, get_type_hints

from flask import Response, request
from pydantic import BaseModel

from app.api.body import read_object
from app.api.context import container, requires
from app.api.queries import read_query
from app.api.validation import RequestModel, validate
from app.domain.rates import Bucket
from app.domain.requests import JSON
from app.domain.scopes import Scope

View = TypeVar("View", bound=Callable[..., Response])


class NoQuery(RequestModel):
    """The query of a route that takes none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers with under one status, when nothing is wrong."""

    description: str
    body: Any = None
    """The model of the JSON object, if it is one."""
    events: Any = None
    """The model of one event, if the body may be a stream."""
    headers: tuple[str, ...] = ()
    """Names in `openapi.headers`, beside those that every answer has."""
    examples: Mapping[str, JSON] = field(default_factory=dict)
    media_type: str = "application/json"
    other_media_types: tuple[str, ...] = ()
    """What the body may be instead."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The declaration of one route."""

    summary: str
    description: str
    answers: Mapping[int, Answer]
    scope: Scope | None
    query: type[RequestModel]
    body: type[RequestModel] | None
    headers: tuple[str, ...]
    errors: tuple[str, ...]
    examples: Mapping[str, JSON]


def operation(
    scope: Scope | None = None,
    *,
    answers: Mapping[int, Answer],
    bucket: Bucket = "poll",
    headers: tuple[str, ...] = (),
    errors: tuple[str, ...] = (),
    examples: Mapping[str, JSON] | None = None,
) -> Callable[[View], View]:
    """Declare a view. Its docstring is the summary and the description, and the annotations of its parameters `query`
    and `body` are the models that it is called with; without `scope` it is public, and ignores its query.

    `headers` are those the client may send; `errors` the codes that only this route has; `examples` are bodies.
    """

    def decorate(view: View) -> View:
        hints = get_type_hints(view)
        summary, _, description = (view.__doc__ or "").partition("\n\n")
        declared = Operation(
            summary=summary.strip().rstrip("."),
            description=" ".join(description.split()),
            answers=answers,
            scope=scope,
            query=hints.get("query", NoQuery),
            body=hints.get("body"),
            headers=headers,
            errors=errors,
            examples=examples or {},
        )
        guarded: Any = requires(scope, bucket)(_validated(view, hints)) if scope else view
        guarded.operation = declared
        return cast("View", guarded)

    return decorate


def _validated(view: Callable[..., Response], hints: Mapping[str, Any]) -> Callable[..., Response]:
    """The view, called with its path's parts, and with the query and the body as the models that it wants."""
    query: type[BaseModel] = hints.get("query", NoQuery)

    @wraps(view)
    def asked(**given: Any) -> Response:
        found = validate(query, read_query(request.query_string))
        if "query" in hints:
            given["query"] = found
        if "body" in hints:
            given["body"] = validate(hints["body"], read_object(request, max_depth=container().settings.max_json_depth))
        return view(**given)

    return asked
