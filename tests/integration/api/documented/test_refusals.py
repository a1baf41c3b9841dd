"""Every kind of refusal: the document must know the status, the headers and the code."""

from typing import Any

import pytest
from flask import Flask

from app.api.errors import _synchronous_error
from app.api.exchange import begin
from app.container import Container
from app.domain.deltas import Finish
from app.domain.errors import SynchronousError
from app.domain.ids import new_id, public_id
from app.domain.jobs import Failure
from app.settings import Settings
from tests.integration.api.documented.conftest import TALK, URLS, Held, complete


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nobody waits long."""
    return settings.model_copy(update={"sync_timeout": 0.01})


@pytest.mark.parametrize("dialect", URLS)
def test_how_a_synchronous_response_fails(app: Flask, held: Held, dialect: str) -> None:
    asked = {"model": "m", **TALK[dialect]}
    late = held.ask("POST", URLS[dialect], json=asked)
    assert (late.status_code, late.json["error"]["code"]) == (504, "response_not_finished")
    for failure in Failure:
        with app.test_request_context() as context:
            begin(context.request.environ)
            error = _synchronous_error(SynchronousError("Try again.", code=failure, job_id=public_id(new_id())))
        headers = {**error.headers, "X-Request-Id": "req_1"}
        held.documented.check("POST", URLS[dialect], error.status_code, headers, error.json)


# Path and body of a create, or path of a get, each refused with another code.
REFUSED: dict[str, dict[str, Any]] = {
    "unsupported_media_type": {"data": b"{}"},
    "request_too_large": {"data": b" " * 20_000_000, "content_type": "application/json"},
    "invalid_encoding": {"data": b'"\xff"', "content_type": "application/json"},
    "invalid_json": {"data": b"{", "content_type": "application/json"},
    "json_too_deep": {"data": b"[" * 9_000, "content_type": "application/json"},
    "duplicate_key": {"data": b'{"a": 1, "a": 2}', "content_type": "application/json"},
    "invalid_number": {"data": b'{"a": 1e999}', "content_type": "application/json"},
    "invalid_unicode": {"json": {"model": "\0"}},
    "missing_required_parameter": {"json": {}},
    "unknown_parameter": {"json": {"model": "m", "x": 1}},
    "invalid_type": {"json": {"model": 1}},
    "out_of_range": {"json": {"temperature": 3}},
    "string_too_long": {"json": {"metadata": {"k": "v" * 600}}},
    "too_many_properties": {"json": {"metadata": dict.fromkeys("abcdefghijklmnopq", "")}},
    "unsupported_parameter": {"json": {"tools": [{"type": "web_search"}]}},
    "previous_response_not_found": {"json": {"previous_response_id": public_id(new_id())}},
    "invalid_idempotency_key": {"json": {}, "headers": {"Idempotency-Key": "k" * 300}},
}


@pytest.mark.parametrize("dialect", URLS)
@pytest.mark.parametrize("code", REFUSED)
def test_what_is_wrong_with_a_create(held: Held, dialect: str, code: str) -> None:
    options = dict(REFUSED[code])
    if "json" in options and code != "missing_required_parameter":
        options["json"] = {"model": "gpt-4.1", "background": True, **TALK[dialect], **options["json"]}
    headers = held.headers | options.pop("headers", {})
    assert held.ask("POST", URLS[dialect], headers=headers, **options).json["error"]["code"] == code


@pytest.mark.parametrize("dialect", URLS)
def test_what_is_wrong_with_all_else(app: Flask, held: Held, container: Container, dialect: str) -> None:
    url, job_id = URLS[dialect], held.make(dialect)
    unknown = public_id(new_id())
    asked = {
        ("GET", f"{url}/{unknown}"): "not_found",
        ("DELETE", f"{url}/{unknown}"): "not_found",
        ("POST", f"{url}/{unknown}/cancel"): "not_found",
        ("GET", f"{url}/{job_id}?stream=true"): "not_a_stream",
        ("GET", f"{url}/{job_id}?wait=99"): "out_of_range",
        ("GET", f"{url}/{job_id}?x=1"): "unknown_parameter",
        ("POST", f"{url}/{job_id}/cancel?x=1"): "unknown_parameter",
        ("GET", f"{url}?limit=x"): "invalid_type",
        ("GET", f"{url}?limit=1&limit=1"): "invalid_value",
        ("GET", f"{url}?after={unknown}"): "invalid_value",
        ("GET", f"{url}?model=%00"): "invalid_unicode",
        ("GET", f"{url}?model=%ff"): "invalid_encoding",
        ("PUT", url): "method_not_allowed",
        ("GET", "/v1/nothing"): "unknown_url",
    }
    for (method, path), code in asked.items():
        assert held.ask(method, path).json["error"]["code"] == code, path
    complete(container, job_id, [Finish()])
    assert held.ask("POST", f"{url}/{job_id}/cancel").json["error"]["code"] == "illegal_move"
    for headers, code in (({}, "invalid_api_key"), (held.headers | {"X-API-Key": "a, b"}, "duplicate_header")):
        assert held.ask("GET", url, headers=headers).json["error"]["code"] == code
    reader = Held(app, container.keys.create("reader", ["responses:read"])[1])
    reader.documented = held.documented
    assert reader.ask("POST", url, json={}).json["error"]["code"] == "insufficient_scope"
