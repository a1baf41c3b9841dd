"""Which errors a route may answer with, and how the document tells of them."""

import json

from pydantic import BaseModel

from app.api.openapi.codes import CODES
from app.api.openapi.headers import header_references
from app.api.operation import Operation
from app.domain.requests import JSON

_ERROR = {"$ref": "#/components/schemas/Error"}
_MORE_HEADERS = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}
# Refused by the server itself, or for the key.
_BEFORE_COUNTING = {401, 414, 431}

_ANY_REQUEST = ("invalid_request", "invalid_http", "uri_too_long", "headers_too_large", "server_error")
_WITH_KEY = (
    "invalid_api_key",
    "expired_api_key",
    "insufficient_scope",
    "duplicate_header",
    "rate_limit_exceeded",
    "unavailable",
    "overloaded",
    "unknown_parameter",
    "invalid_encoding",
    "invalid_unicode",
    "invalid_value",
)
_WITH_BODY = (
    "unsupported_media_type",
    "request_too_large",
    "incomplete_body",
    "invalid_json",
    "json_too_deep",
    "duplicate_key",
    "invalid_number",
    "unsupported_parameter",
)
# What a schema that says one of these refuses.
_OF_KEYWORDS = {
    "type": "invalid_type",
    "required": "missing_required_parameter",
    "minLength": "missing_required_parameter",
    "minItems": "missing_required_parameter",
    "minimum": "out_of_range",
    "maximum": "out_of_range",
    "maxLength": "string_too_long",
    "maxItems": "array_too_long",
    "maxProperties": "too_many_properties",
}


def codes_of(declared: Operation) -> list[str]:
    """The codes that a route may answer with: those of all that it reads, and its own."""
    found = {*declared.errors, *_ANY_REQUEST}
    if declared.scope:
        found |= {*_WITH_KEY, *_refused_by(declared.query)}
    if declared.body:
        found |= {*_WITH_BODY, *_refused_by(declared.body)}
    return [code for code in CODES if code in found]


def _refused_by(model: type[BaseModel]) -> set[str]:
    """The codes of all that the model's fields may be wrong about."""
    schema = model.model_json_schema()
    said = json.dumps({name: schema[name] for name in ("properties", "$defs", "required") if name in schema})
    return {code for keyword, code in _OF_KEYWORDS.items() if f'"{keyword}":' in said}


def refusals_of(declared: Operation, counted: tuple[str, ...]) -> JSON:
    """The error statuses of a route; `counted` are the headers of a request that was counted."""
    by_status: dict[int, list[str]] = {}
    for code in codes_of(declared):
        by_status.setdefault(CODES[code].status, []).append(code)
    return {
        str(status): error_response(status, codes, () if status in _BEFORE_COUNTING else counted)
        for status, codes in by_status.items()
    }


def error_response(status: int, codes: list[str], counted: tuple[str, ...] = ()) -> JSON:
    """An error status that comes with these codes."""
    told = ("X-Should-Retry",) if any(CODES[code].of_response for code in codes) else ()
    narrowed = {"code": {"enum": codes}, "type": {"enum": sorted({CODES[code].type for code in codes})}}
    schema = {"allOf": [_ERROR, {"properties": {"error": {"properties": narrowed}}}]}
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    return {
        "description": " ".join(f"`{code}`: {CODES[code].when}" for code in codes),
        "headers": header_references(*_MORE_HEADERS.get(status, ()), *told, *counted),
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }
