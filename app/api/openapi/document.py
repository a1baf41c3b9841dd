"""The OpenAPI 3.1 document of the whole app, from the declarations of its routes."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.routing import Rule

from app.api.openapi import headers, texts
from app.api.openapi.codes import CODES
from app.api.openapi.parameters import header_parameters, parameters_of, path_of
from app.api.openapi.refusals import error_response
from app.api.openapi.responses import responses_of
from app.api.openapi.schemas import component_schemas, name_of
from app.api.openapi.shapes.base import Error
from app.api.operation import Operation
from app.domain.requests import JSON

OPENAPI = "3.1.1"


class Route(NamedTuple):
    """One method of one path, with its declaration."""

    rule: str
    method: str
    tag: str
    operation_id: str
    declared: Operation


def routes(app: Flask) -> Iterator[Route]:
    """Every route of the app. Raises LookupError for one that is not declared."""
    for rule in app.url_map.iter_rules():
        declared = getattr(app.view_functions[rule.endpoint], "operation", None)
        if declared is None:
            raise LookupError(f"{rule.rule} has no declaration. Put @operation above its view.")
        for method in _methods(rule):
            blueprint, _, view = rule.endpoint.rpartition(".")
            yield Route(rule.rule, method, blueprint, f"{blueprint}_{view.rstrip('_')}", declared)


def describe(app: Flask) -> JSON:
    """The whole document."""
    found = list(routes(app))
    asked = [model for route in found for model in (route.declared.query, route.declared.body) if model]
    shown = [model for route in found for model in _shown(route.declared)]
    references, schemas = component_schemas(asked, [Error, *shown])
    queries = {model: schemas[name_of(references[model])] for model in {route.declared.query for route in found}}
    paths: dict[str, JSON] = {}
    for route in found:
        described = _operation(route, references, queries[route.declared.query], _links(route, found))
        paths.setdefault(path_of(route.rule), {})[route.method.lower()] = described
    for model in queries:
        del schemas[name_of(references[model])]
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Simmer",
            "version": version("simmer"),
            "summary": texts.SUMMARY,
            "description": texts.introduction(app.extensions["simmer"].settings),
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in texts.TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas, **_components()},
    }


def _components() -> JSON:
    """What the operations refer to, beside their schemas."""
    return {
        "securitySchemes": texts.SECURITY,
        "parameters": header_parameters(),
        "headers": headers.ANSWERS,
        "responses": {
            "UnknownUrl": error_response(404, ["unknown_url"]),
            "MethodNotAllowed": error_response(405, ["method_not_allowed"]),
        },
        "examples": {
            code: {"summary": known.when, "value": known.example(code), "x-status": known.status}
            for code, known in CODES.items()
        },
    }


def _operation(route: Route, references: Mapping[Any, JSON], query: JSON, links: JSON) -> JSON:
    declared = route.declared
    described: JSON = {
        "operationId": route.operation_id,
        "tags": [texts.TAG_OF[route.tag]],
        "summary": declared.summary,
        "description": declared.description,
        # OpenAPI 3.1 takes the scopes of any kind of key.
        "security": [{name: [declared.scope]} for name in texts.SECURITY] if declared.scope else [],
        "parameters": parameters_of(route.rule, declared, query),
    }
    if declared.body:
        examples = {name: {"value": value} for name, value in declared.examples.items()}
        content = {"application/json": {"schema": references[declared.body], "examples": examples}}
        described["requestBody"] = {"required": True, "content": content}
    return {**described, "responses": responses_of(declared, references, links)}


def _shown(declared: Operation) -> Iterator[Any]:
    for answer in declared.answers.values():
        yield from filter(None, (answer.body, answer.events))


def _links(route: Route, found: list[Route]) -> JSON:
    """From what a create answers to all that can be done with it."""
    if not route.declared.body:
        return {}
    return {
        other.operation_id: {"operationId": other.operation_id, "parameters": {"response_id": "$response.body#/id"}}
        for other in found
        if "<response_id>" in other.rule and other.tag == route.tag
    }


def _methods(rule: Rule) -> list[str]:
    # Flask answers HEAD wherever it answers GET; the document need not say so of each.
    return sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
