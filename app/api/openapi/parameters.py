"""What a route reads beside its body: parts of its path, its query, and headers."""

import re

from app.api.openapi.headers import REQUESTS
from app.api.operation import Operation
from app.domain.requests import JSON

PATH = {
    "response_id": {
        "description": "The id of a response, made through either dialect.",
        "schema": {"type": "string"},
        "example": "resp_0198f3c2a1b47d0c9e5f2a6b8c7d1e03",
    },
    "endpoint_id": {
        "description": "The id of a webhook endpoint.",
        "schema": {"type": "string"},
        "example": "whe_0198f3c2a1b47d0c9e5f2a6b8c7d1e03",
    },
    "event_id": {
        "description": "The id of an event.",
        "schema": {"type": "string"},
        "example": "evt_0198f3c2a1b47d0c9e5f2a6b8c7d1e03",
    },
    "name": {
        "description": "The name of a model; it may hold slashes.",
        "schema": {"type": "string"},
        "example": "gpt-4.1",
    },
    "asset": {
        "description": "The version of the page, a slash, and the name of a file of it; or the name alone.",
        "schema": {"type": "string"},
        "example": "base.css",
    },
}
_PART = re.compile(r"<(?:\w+:)?(\w+)>")


def path_of(rule: str) -> str:
    """`/v1/models/{name}` for `/v1/models/<path:name>`."""
    return _PART.sub(r"{\1}", rule)


def parameters_of(rule: str, declared: Operation, query: JSON) -> list[JSON]:
    """All parameters of a route; `query` is the schema of its query's model."""
    required = query.get("required", [])
    return [
        *({"name": name, "in": "path", "required": True, **PATH[name]} for name in _PART.findall(rule)),
        *(_query(name, schema, required=name in required) for name, schema in query.get("properties", {}).items()),
        *({"$ref": f"#/components/parameters/{name}"} for name in headers_of(declared)),
    ]


def headers_of(declared: Operation) -> tuple[str, ...]:
    """The headers that a route reads, beside the key."""
    return (*declared.headers, *(("X-Client-Request-Id",) if declared.scope else ()))


def header_parameters() -> dict[str, JSON]:
    """The request headers as components."""
    return {name: {"name": name, "in": "header", **described} for name, described in REQUESTS.items()}


def _query(name: str, schema: JSON, *, required: bool) -> JSON:
    shown: JSON = {"name": name, "in": "query", "required": required}
    described = dict(schema)
    if description := described.pop("description", None):
        shown["description"] = description
    shown["schema"] = _without_null(described)
    if shown["schema"].get("type") == "object":
        # `metadata[key]=value`
        shown |= {"style": "deepObject", "explode": True}
    return shown


def _without_null(schema: JSON) -> JSON:
    """A query can leave a parameter out, but it has no way to say null."""
    options: list[JSON] = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    return options[0] | {key: value for key, value in schema.items() if key != "anyOf"}
