"""Checks values against the two public schemas of the Responses API, in `tests/data/specs`."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012

JSON = dict[str, Any]
Document = Literal["openai", "open"]

_FOLDER = Path(__file__).parent / "data" / "specs"
_FILES: dict[Document, str] = {"openai": "openai-responses.json", "open": "open-responses.json"}
_OPEN_ITEMS = {"message", "function_call", "function_call_output", "reasoning"}


def errors(document: Document, schema: str, value: object) -> list[str]:
    """What is wrong with `value` as `schema` of the document, each with its place; [] if nothing is."""
    found = _validator(document, schema).iter_errors(_allow(document, value))
    return [
        f"{document} {schema}: {leaf.json_path}: {leaf.message[:300]}" for error in found for leaf in _leaves(error)
    ]


def response_errors(value: object) -> list[str]:
    """What is wrong with a whole response in either document."""
    return errors("openai", "Response", value) + errors("open", "ResponseResource", value)


def event_errors(event: JSON) -> list[str]:
    """What is wrong with a stream's event in either document; one that a document does not know is wrong, too."""
    found = []
    for document in _FILES:
        schema = _event_schemas(document).get(event["type"])
        found += errors(document, schema, event) if schema else [f"{document}: no event {event['type']}"]
    return found


# Where the documents contradict each other we follow one, and the other is shown what it wants instead.


def _without_hosted_items(value: JSON) -> JSON:
    """Open Responses lists no items of hosted tools, and leaves them to each vendor; OpenAI's are typed."""
    if isinstance(value.get("item"), dict) and value["item"].get("type") not in _OPEN_ITEMS:
        return {**value, "item": None}
    if isinstance(value.get("output"), list):
        return {**value, "output": [item for item in value["output"] if item.get("type") in _OPEN_ITEMS]}
    return value


def _without_json_schema(value: JSON) -> JSON:
    """Open Responses wants `schema: null` in a response's `text.format`; OpenAI wants the schema that was asked for."""
    return {**value, "schema": None} if value.get("type") == "json_schema" and "schema" in value else value


CONTRADICTIONS: dict[Document, list[Callable[[JSON], JSON]]] = {
    "openai": [],
    "open": [_without_hosted_items, _without_json_schema],
}


def _allow(document: Document, value: Any) -> Any:
    """The value with what the document must not see replaced, at any depth."""
    if isinstance(value, list):
        return [_allow(document, entry) for entry in value]
    if not isinstance(value, dict):
        return value
    for allow in CONTRADICTIONS[document]:
        value = allow(value)
    return {name: _allow(document, entry) for name, entry in value.items()}


def _leaves(error: ValidationError) -> Iterable[ValidationError]:
    """The errors in the branch of an `anyOf` that was meant: all others already fail at the value's `type`."""
    branches: dict[Any, list[ValidationError]] = defaultdict(list)
    for inner in error.context or ():
        branches[inner.schema_path[0]].append(inner)
    if not branches:
        return [error]
    meant = min(branches.values(), key=lambda inner: (_fails_at_type(inner), len(inner)))
    return [leaf for inner in meant for leaf in _leaves(inner)]


def _fails_at_type(found: list[ValidationError]) -> bool:
    return any(error.validator == "type" or (error.path and error.path[-1] == "type") for error in found)


@cache
def _load(document: Document) -> JSON:
    loaded: JSON = json.loads((_FOLDER / _FILES[document]).read_text())
    return loaded


@cache
def _validator(document: Document, schema: str) -> Draft202012Validator:
    assert schema in _load(document)["components"]["schemas"], f"the {document} document has no {schema}"
    registry = Registry().with_resource(document, DRAFT202012.create_resource(_load(document)))
    return Draft202012Validator({"$ref": f"{document}#/components/schemas/{schema}"}, registry=registry)


@cache
def _event_schemas(document: Document) -> dict[str, str]:
    """The schema of each event by its type."""
    schemas = _load(document)["components"]["schemas"]
    kinds = {name: schema.get("properties", {}).get("type", {}).get("enum") for name, schema in schemas.items()}
    return {kind[0]: name for name, kind in kinds.items() if kind and name.endswith("Event")}
