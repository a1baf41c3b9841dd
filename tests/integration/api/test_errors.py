"""Every refusal on the wire: the one shape, the right status, nothing echoed, nothing stored."""

import json
import re
from typing import Any

import pytest
import redis
from flask import Flask
from sqlalchemy import text

from app.container import Container
from app.domain.errors import ConfigurationError
from app.domain.ids import new_id, public_id
from app.factory import create_app
from app.services.jobs import JobService
from app.settings import Settings
from tests.integration.api.conftest import BODY, URL, Api, refused, stored

CANARY = "canary-77aa"
JSON_TYPE = {"Content-Type": "application/json"}
IRE = "invalid_request_error"

# body, headers -> status, code, param. What a body alone decides has many more rows in tests/unit/api.
REFUSED_CREATES: list[tuple[Any, dict[str, str], tuple[int, str, str | None]]] = [
    (b"{}", {}, (415, "unsupported_media_type", None)),
    (b"{}", {"Content-Type": "text/plain"}, (415, "unsupported_media_type", None)),
    (b"{}", JSON_TYPE | {"Content-Encoding": "gzip"}, (415, "unsupported_media_type", None)),
    (b"", JSON_TYPE, (400, "invalid_json", None)),
    (json.dumps(BODY).encode()[:-1], JSON_TYPE, (400, "invalid_json", None)),
    (json.dumps(BODY).encode() + CANARY.encode(), JSON_TYPE, (400, "invalid_json", None)),
    (json.dumps(BODY).encode("utf-16"), JSON_TYPE, (400, "invalid_encoding", None)),
    (b'"\xff"', JSON_TYPE, (400, "invalid_encoding", None)),
    (b"[]", JSON_TYPE, (400, "invalid_type", None)),
    (b"[" * 9_000, JSON_TYPE, (400, "json_too_deep", None)),
    (b'{"a":' * 65 + b"1" + b"}" * 65, JSON_TYPE, (400, "json_too_deep", None)),
    (b'{"model": "a", "model": "b"}', JSON_TYPE, (400, "duplicate_key", None)),
    (b'{"temperature": ' + b"9" * 5_000 + b"}", JSON_TYPE, (400, "invalid_number", None)),
    (b'{"temperature": 1e999}', JSON_TYPE, (400, "invalid_number", None)),
    (b'{"temperature": NaN}', JSON_TYPE, (400, "invalid_json", None)),
    (b" " * 20_000, JSON_TYPE, (413, "request_too_large", None)),
    ({"metadata": {"a": "\0"}}, {}, (400, "invalid_unicode", "metadata.a")),
    ({"model": "\ud800"}, {}, (400, "invalid_unicode", "model")),
    ({"model": ""}, {}, (400, "missing_required_parameter", "model")),
    ({"inputs": []}, {}, (400, "missing_required_parameter", "inputs")),
    ({"inputs": [{"role": "user"}]}, {}, (400, "invalid_value", "inputs[0]")),
    ({"inputs": [{"role": CANARY, "texts": [{"text": ""}]}]}, {}, (400, "invalid_value", "inputs[0].role")),
    ({"model": f"unserved-{CANARY}"}, {}, (404, "model_not_found", "model")),
    ({"secret": CANARY}, {}, (400, "unknown_parameter", "secret")),
    ({"background": "true"}, {}, (400, "invalid_type", "background")),
    ({"stream": 1}, {}, (400, "invalid_type", "stream")),
    ({"temperature": -1}, {}, (400, "out_of_range", "temperature")),
    ({"temperature": 1e308}, {}, (400, "out_of_range", "temperature")),
    ({"max_output_tokens": 2**63}, {}, (400, "out_of_range", "max_output_tokens")),
    ({"max_output_tokens": 1.5}, {}, (400, "invalid_type", "max_output_tokens")),
    ({"metadata": dict.fromkeys("abcdefghijklmnopq", "")}, {}, (400, "too_many_properties", "metadata")),
    ({"metadata": {CANARY * 6: ""}}, {}, (400, "string_too_long", "metadata")),
    ({"metadata": {"k": CANARY * 60}}, {}, (400, "string_too_long", "metadata.k")),
    ({"metadata": {"k": {"n": CANARY}}}, {}, (400, "invalid_type", "metadata.k")),
]


# What every request has for itself, whatever it asks for.
OWN_HEADERS = re.compile("x-request-id|x-ratelimit-|ratelimit", re.IGNORECASE)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No pattern for all models, and a small cap."""
    assert settings.models
    settings.models.write_text(settings.models.read_text().replace('"*"', '"gpt-*"'))
    return settings.model_copy(update={"max_body_bytes": 10_000})


def test_a_refused_create_stores_nothing_and_sends_nothing(api: Api, container: Container, settings: Settings) -> None:
    broker = redis.Redis.from_url(settings.broker_url)
    for body, headers, wanted in REFUSED_CREATES:
        sent = {"json": BODY | body} if isinstance(body, dict) else {"data": body}
        response = api.ask("POST", headers=api.headers | headers, **sent)
        status, kind, code, param = refused(response)
        assert (status, code, param) == wanted, body
        assert kind == IRE
        assert CANARY not in response.text
        assert stored(container) == 0, body
    assert broker.llen("default") == 0


BAD_QUERIES = {
    "limit=0": ("out_of_range", "limit"),
    "limit=101": ("out_of_range", "limit"),
    "limit=abc": ("invalid_type", "limit"),
    "limit=1&limit=2": ("invalid_value", None),
    "order=up": ("invalid_value", "order"),
    "status=done": ("invalid_value", "status"),
    "after=x": ("invalid_value", "after"),
    f"after={public_id(new_id())}": ("invalid_value", "after"),
    f"before={public_id(new_id())}": ("invalid_value", "before"),
    "model=%00": ("invalid_unicode", None),
    "metadata[k]=%00": ("invalid_unicode", None),
    "metadata[%00]=v": ("invalid_unicode", None),
    "%00=v": ("invalid_unicode", None),
    "created_after=1e9": ("invalid_type", "created_after"),
    "created_before=99999999999999": ("out_of_range", "created_before"),
    "metadata=x": ("invalid_type", "metadata"),
    "x=1": ("unknown_parameter", "x"),
}


def test_wrong_queries(api: Api) -> None:
    found = {query: refused(api.ask("GET", query_string=query)) for query in BAD_QUERIES}
    assert found == {query: (400, IRE, *wanted) for query, wanted in BAD_QUERIES.items()}


def test_a_cursor_must_be_the_callers_own(api: Api, stranger: Api) -> None:
    theirs, unknown = (
        api.ask("GET", query_string={"after": cursor}) for cursor in (stranger.submit(), public_id(new_id()))
    )
    assert theirs.status_code == 400
    assert theirs.data == unknown.data


@pytest.mark.parametrize("query", ["a=\xff", "metadata[k]=\xff\xfe", "limit=%ff", "model=%ed%a0%80"])
def test_bytes_that_are_no_utf8_in_a_query(api: Api, query: str) -> None:
    response = api.ask("GET", environ_overrides={"QUERY_STRING": query})
    assert response.content_type == "application/json"
    assert response.status_code in {200, 400}


ENDS = [("GET", ""), ("POST", "/cancel"), ("DELETE", "")]
MALFORMED = ["resp_1", "resp_", "%00", public_id(new_id()).upper(), "x" * 5_000, "%ff", "%F0%9F%98%80", "resp_'--"]


def expired(api: Api, container: Container) -> str:
    """A job whose retention is over, and that the purge has not met yet."""
    job_id = api.submit()
    api.ask("POST", f"{URL}/{job_id}/cancel")
    with container.database.transaction() as connection:
        connection.execute(text("UPDATE jobs SET expires_at = now() - interval '1 second'"))
    return job_id


@pytest.mark.parametrize(("method", "end"), ENDS)
def test_nobody_can_tell_a_foreign_id_from_one_that_never_was(
    api: Api, stranger: Api, container: Container, method: str, end: str
) -> None:
    ids = [public_id(new_id()), expired(api, container), stranger.submit(), *MALFORMED]
    replies = [api.ask(method, f"{URL}/{job_id}{end}") for job_id in ids]
    assert refused(replies[0]) == (404, "not_found_error", "not_found", None)
    assert {reply.data for reply in replies} == {replies[0].data}
    assert {reply.status_code for reply in replies} == {404}
    headers = {tuple(item for item in reply.headers if not OWN_HEADERS.match(item[0])) for reply in replies}
    assert len(headers) == 1
    assert stranger.ask("GET", f"{URL}/{ids[2]}").json["status"] == "queued"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_unknown_paths(app: Flask, api: Api, method: str) -> None:
    paths = [
        f"/{CANARY}",
        "/v1",
        "/v1//model/response",
        "//v1/model/response",
        f"{URL}/a/b/{CANARY}",
    ]
    for path in paths:
        for asked in (api, Api(app, None)):
            response = asked.ask(method, path)
            assert refused(response) == (404, "not_found_error", "unknown_url", None), path
            assert CANARY not in response.text


def test_every_route_refuses_other_methods_and_says_which_it_takes(app: Flask) -> None:
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        built = rule.build(dict.fromkeys(rule.arguments, "resp_1"))
        assert built
        allowed = set(adapter.allowed_methods(built[1]))
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - allowed:
            response = app.test_client().open(built[1], method=method)
            assert refused(response) == (405, IRE, "method_not_allowed", None)
            assert set(response.headers["Allow"].split(", ")) == allowed


def test_an_unexpected_error_says_nothing_of_itself(
    api: Api, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(JobService, "get", broken)
    response = api.ask("GET", f"{URL}/{public_id(new_id())}")
    assert refused(response) == (500, "server_error", "server_error", None)
    assert CANARY not in response.text + capfd.readouterr().err


def test_a_wrong_models_file_stops_the_start(settings: Settings) -> None:
    assert settings.models
    settings.models.write_text("nonsense")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        create_app(settings)
    with pytest.raises(ConfigurationError, match="Set SIMMER_MODELS"):
        create_app(settings.model_copy(update={"models": None}))
