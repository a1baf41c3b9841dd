"""Which errors a route may answer with, and how the document tells of them."""

from app.api.openapi.codes import CODES
from app.api.openapi.headers import header_references
from app.api.operation import Operation
from app.domain.requests import JSON

_ERROR = {"$ref": "#/components/schemas/Error"}
_MORE_HEADERS = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}
_BEFORE_COUNTING = {401}

_KEY = ("invalid_api_key", "expired_api_key", "insufficient_scope", "duplicate_header")
_ANY_QUERY = ("invalid_encoding", "unknown_parameter", "invalid_value", "invalid_unicode")
_QUERY = ("invalid_type", "out_of_range")
_BODY = (
    "unsupported_media_type",
    "request_too_large",
    "incomplete_body",
    "invalid_json",
    "json_too_deep",
    "duplicate_key",
    "invalid_number",
    "missing_required_parameter",
    "unsupported_parameter",
    "array_too_long",
    "string_too_long",
    "too_many_properties",
)
_ALWAYS = ("rate_limit_exceeded", "unavailable")


def codes_of(declared: Operation) -> list[str]:
    """The codes that a route may answer with: those of all that it reads, and its own."""
    found = set(declared.errors) | {"server_error"}
    if declared.scope:
        found |= {*_KEY, *_ANY_QUERY, *_ALWAYS}
    if declared.query.model_fields:
        found |= set(_QUERY)
    if declared.body:
        found |= {*_QUERY, *_BODY}
    return [code for code in CODES if code in found]


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
