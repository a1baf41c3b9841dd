"""The OpenAPI document: that it is valid, that it is whole, and that it says of the routes what they do."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from flask import Flask
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from app.api.openapi.document import describe
from app.api.operation import Operation
from app.api.validation import validate
from tests.documented import Documented
from tests.integration.api.conftest import Api


@pytest.fixture
def document(app: Flask) -> Any:
    """As a client reads it."""
    reply = app.test_client().get("/openapi.json")
    assert reply.status_code == 200
    return json.loads(reply.data)


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def nodes(value: Any) -> Iterator[Any]:
    """Every object in the document."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def test_it_is_openapi_3_1(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name)
        Draft202012Validator.check_schema(schema)


def test_a_wrong_document_is_noticed(document: Any) -> None:
    document["paths"]["/v1/responses"]["post"]["responses"]["200"].pop("description")
    assert list(OPENAPI_31_VALIDATOR.iter_errors(document))


def test_schemathesis_reads_all_of_it(document: Any) -> None:
    loaded: Any = schemathesis.openapi.from_dict(document)
    found = {(result.ok().method.upper(), result.ok().path) for result in loaded.get_all_operations()}
    assert found == {(method, path) for method, path, _ in operations(document)}


def test_every_reference_is_to_something_in_it(document: Any) -> None:
    documented = Documented(document)
    references = [node for node in nodes(document) if isinstance(node.get("$ref"), str)]
    assert len(references) > 100
    assert all(reference["$ref"].startswith("#/") for reference in references)
    for reference in references:
        assert documented.resolved(reference)


def test_nothing_in_it_is_left_unused(document: Any) -> None:
    used = {node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str)}
    components = document["components"]
    for kind in ("schemas", "parameters", "headers", "examples"):
        assert {name for name in components[kind] if f"#/components/{kind}/{name}" not in used} == set()


def test_it_has_the_routes_of_the_app_and_no_others(app: Flask, document: Any) -> None:
    served = {
        (method, re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(method, path) for method, path, _ in operations(document)} == served


def test_a_route_without_a_declaration_is_noticed(app: Flask) -> None:
    app.add_url_rule("/v1/new", endpoint="new", view_func=lambda: "hi")
    with pytest.raises(LookupError, match="/v1/new"):
        describe(app)


def test_every_operation_says_what_it_is(document: Any) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    known = {tag["name"] for tag in document["tags"]}
    for method, path, operation in operations(document):
        assert operation["summary"], path
        assert set(operation["tags"]) <= known
        secured = path.startswith("/v1/")
        assert bool(operation["security"]) is secured
        assert {"401", "403", "429"} <= operation["responses"].keys() or not secured, (method, path)


def test_everything_that_can_be_sent_is_described(document: Any) -> None:
    documented = Documented(document)
    for method, path, operation in operations(document):
        for given in operation["parameters"]:
            parameter = documented.resolved(given)
            assert parameter.get("description"), (method, path, parameter["name"])
        for content in operation.get("requestBody", {}).get("content", {}).values():
            fields = documented.resolved(content["schema"])["properties"]
            silent = [name for name, field in fields.items() if not documented.resolved(field).get("description")]
            assert not silent, (path, silent)


def bodies(app: Flask) -> Iterator[tuple[str, Any, Any]]:
    for endpoint, view in app.view_functions.items():
        declared: Operation = getattr(view, "operation")  # noqa: B009 - what mypy does not know
        for name, example in declared.examples.items():
            yield f"{endpoint}: {name}", declared.body, example


def test_the_examples_of_bodies_are_good(app: Flask, document: Any) -> None:
    documented = Documented(document)
    contents = [
        operation["requestBody"]["content"]["application/json"]
        for _, _, operation in operations(document)
        if "requestBody" in operation
    ]
    assert len(contents) == 7
    for content in contents:
        for example in content["examples"].values():
            documented.conforms(content["schema"], example["value"])
    for name, model, example in bodies(app):
        read = validate(model, example)
        assert name.startswith("webhooks.") or read.to_job_request(), name


def test_the_contracts_own_example_is_among_them(app: Flask) -> None:
    asked = {"model": "gpt-4.1", "background": True}
    text = "Write a detailed article about AI"
    wanted = {**asked, "inputs": [{"role": "user", "texts": [{"text": text}]}]}
    assert wanted in [example for _, _, example in bodies(app)]


def test_the_examples_of_answers_and_headers_are_good(document: Any) -> None:
    documented = Documented(document)
    for _, _, operation in operations(document):
        for answer in operation["responses"].values():
            for content in answer.get("content", {}).values():
                for example in map(documented.resolved, content.get("examples", {}).values()):
                    documented.conforms(content["schema"], example["value"])
    for header in document["components"]["headers"].values():
        documented.conforms(header["schema"], header["example"])


def test_it_is_public_and_asked_for_once(app: Flask, api: Api) -> None:
    client = app.test_client()
    first = client.get("/openapi.json")
    assert first.headers["Cache-Control"] == "no-cache"
    assert first.data == api.ask("GET", "/openapi.json").data
    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get("/openapi.json", headers={"If-None-Match": '"other"'}).data == first.data


def test_it_tells_the_limits_as_they_are_set(app: Flask, document: Any) -> None:
    assert "24 hours" in document["info"]["description"]
    assert app.extensions["simmer"].settings.create_rate in document["info"]["description"]
