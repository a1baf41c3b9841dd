"""What the page says of the document: prose, types in words, fields as rows, requests as curl commands."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from app.api.openapi.headers import LIMITS
from app.domain.requests import JSON

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")
_NULL = {"type": "null"}
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "maxProperties": "at most {} keys",
}


class Field(NamedTuple):
    """One row of a table of fields."""

    name: str
    kind: Markup
    required: bool
    description: Markup


def prose(text: str) -> Markup:
    """Paragraphs with `code` and **strong** words."""
    paragraphs = (" ".join(part.split()) for part in text.strip().split("\n\n"))
    return Markup().join(Markup("<p>{}</p>\n").format(words(part)) for part in paragraphs if part)


def words(text: str) -> Markup:
    """The same within a line."""
    html = _STRONG.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", str(escape(text))))
    return Markup(html)  # noqa: S704 - escaped above  # nosec B704


def operations(document: JSON, tag: str) -> Iterator[tuple[str, str, JSON]]:
    """Method, path and operation of all that have this tag."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def resolved(document: JSON, node: JSON) -> JSON:
    """What a reference points to; anything else is itself."""
    found: Any = node
    if "$ref" in node:
        found = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
    assert isinstance(found, dict)
    return found


def kind(schema: JSON) -> Markup:
    """A type in words; other schemas are links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return Markup(" or ").join(kind(option) for option in options)
    if "allOf" in schema:
        return kind(schema["allOf"][0])
    if "contentSchema" in schema:
        return Markup("{} as JSON").format(kind(schema["contentSchema"]))
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values:
        return Markup(" or ").join(Markup("<code>{}</code>").format(json.dumps(value)) for value in values)
    bounds = [_bound(name, text, schema[name]) for name, text in _BOUNDS.items() if name in schema]
    return Markup(", ").join([_plain(schema), *bounds])


def _bound(name: str, text: str, limit: object) -> str:
    return "not empty" if name in {"minLength", "minItems"} and limit == 1 else text.format(limit)


def _plain(schema: JSON) -> Markup:
    name = schema.get("type", "anything")
    if name == "array":
        return Markup("list of {}").format(kind(schema.get("items", {})))
    if name == "object" and isinstance(values := schema.get("additionalProperties"), dict):
        return Markup("object of {}").format(kind(values))
    return escape(name)


def fields(schema: JSON) -> list[Field]:
    """The properties of an object."""
    required = schema.get("required", [])
    return [
        Field(name, kind(inner if name in required else _without_null(inner)), name in required, _description(inner))
        for name, inner in schema.get("properties", {}).items()
    ]


def _without_null(schema: JSON) -> JSON:
    """What can be left out need not be said to be null as well."""
    return (
        schema | {"anyOf": [option for option in schema["anyOf"] if option != _NULL]} if "anyOf" in schema else schema
    )


def _description(schema: JSON) -> Markup:
    text = words(schema.get("description", ""))
    if schema.get("default") is None:
        return text
    default = Markup("Default: <code>{}</code>.").format(json.dumps(schema["default"]))
    return Markup(" ").join([text, default] if text else [default])


def codes(answer: JSON) -> list[str]:
    """The error codes that come with an error status."""
    content = answer.get("content", {}).get("application/json", {})
    return [code for code in content.get("examples", {}) if "$ref" in content["examples"][code]]


def own_headers(answer: JSON) -> list[str]:
    """The headers that not all answers have."""
    return [name for name in answer["headers"] if name not in {"X-Request-Id", *LIMITS}]


def pretty(value: object) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def curl(document: JSON, method: str, path: str, operation: JSON) -> str:
    """The operation as a command for a shell in which SIMMER_URL and SIMMER_API_KEY are set."""
    for parameter in operation["parameters"]:
        if parameter.get("in") == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(resolved(document, parameter)["example"]))
    lines = [f'curl "$SIMMER_URL{path}"' if method == "GET" else f'curl -X {method} "$SIMMER_URL{path}"']
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $SIMMER_API_KEY"')
    if "requestBody" in operation:
        examples = operation["requestBody"]["content"]["application/json"]["examples"]
        example = next(iter(examples.values()))["value"]
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(pretty(example))}"]
    return " \\\n  ".join(lines)
