"""What a route answers, under every status it has."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from app.api.openapi.headers import LIMITS, header_references
from app.api.openapi.refusals import refusals_of
from app.api.operation import Answer, Operation
from app.domain.requests import JSON

_STREAM = (
    "Server-sent events; the schema is that of one. `event` is the type of the event in `data`. A comment line "
    "(`: keep-alive`) now and then keeps the connection awake. After the last event comes `data: [DONE]`."
)


def responses_of(declared: Operation, references: Mapping[Any, JSON], links: JSON) -> JSON:
    """The answers of a route, and its errors."""
    counted = LIMITS if declared.scope else ()
    found = {
        str(status): _answer(answer, references, counted, links if status == HTTPStatus.OK else {})
        for status, answer in declared.answers.items()
    }
    return dict(sorted((found | refusals_of(declared, counted)).items()))


def _answer(answer: Answer, references: Mapping[Any, JSON], counted: tuple[str, ...], links: JSON) -> JSON:
    content: JSON = {}
    if answer.body:
        examples = {name: {"value": value} for name, value in answer.examples.items()}
        content["application/json"] = {
            "schema": references[answer.body],
            **({"examples": examples} if examples else {}),
        }
    elif answer.media_type != "application/json":
        for media_type in (answer.media_type, *answer.other_media_types):
            content[media_type] = {"schema": {"type": "string"}}
    if answer.events:
        content["text/event-stream"] = {"schema": _frame(references[answer.events])}
    return {
        "description": answer.description,
        "headers": header_references(*answer.headers, *counted),
        **({"content": content} if content else {}),
        **({"links": links} if links else {}),
    }


def _frame(event: JSON) -> JSON:
    """One frame of a stream: OpenAPI 3.1 has no word of its own for streams."""
    one = {"type": "string", "contentMediaType": "application/json", "contentSchema": event}
    return {
        "type": "object",
        "description": _STREAM,
        "properties": {"event": {"type": "string"}, "data": {"anyOf": [{"const": "[DONE]"}, one]}},
        "required": ["data"],
    }
