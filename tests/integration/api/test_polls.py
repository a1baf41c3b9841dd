"""What is answered before Flask, beside what Flask answers to the same."""

import logging
from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from uuid import UUID

import pytest
from flask import Flask

from app.container import Container
from app.domain.errors import UnavailableError
from app.domain.ids import new_id, parse_public_id, public_id
from app.domain.lifecycle import Status
from app.domain.rates import Overrides, Rate
from app.services.jobs import JobService
from tests import rows
from tests.integration.api.conftest import URL, Api, Reply

PATHS = (URL, "/v1/responses")
# Nobody minds them, and each makes a poll one that is not plain.
BY_FLASK: tuple[dict[str, Any], ...] = (
    {"query_string": "include_obfuscation=false"},
    {"headers": {"Prefer": "respond-async"}},
    {"headers": {"If-None-Match": '"another"'}},
)
SAY = {"role": "assistant", "type": "message", "content": [{"type": "output_text", "text": "Öl \N{SNOWMAN} <b>"}]}
THINK = {"type": "reasoning", "summary": []}
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
STATES: dict[str, tuple[Status, dict[str, Any]]] = {
    "queued": (Status.QUEUED, {"metadata_": {"a": "ü"}}),
    "in progress": (Status.IN_PROGRESS, {"request": {"reasoning": {"effort": "low"}}}),
    "completed": (Status.COMPLETED, {"output": [THINK, SAY], "usage": USAGE}),
    "cut off": (Status.COMPLETED, {"output": [SAY], "usage": None, "incomplete_reason": "max_output_tokens"}),
    "failed": (Status.FAILED, {"error_code": "timeout", "error_message": "It took too long."}),
    "cancelled": (Status.CANCELLED, {}),
}
# A conditional answer gets its date from werkzeug, the others from gunicorn.
OF_ONE_ANSWER = {"Date", "X-Request-Id", "RateLimit", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"}

Answer = tuple[int, dict[str, str], Any]


def answer(reply: Reply) -> Answer:
    """All that must be the same."""
    told = {name: value for name, value in reply.headers.items() if name not in OF_ONE_ANSWER}
    assert set(reply.headers.keys()) & OF_ONE_ANSWER >= {"X-Request-Id"}
    return reply.status_code, told, reply.data


def both(api: Api, path: str, **options: Any) -> Answer:
    """The answer to a plain poll, which is Flask's to one that is not."""
    plain = answer(api.ask("GET", path, **options))
    for reply in by_flask(api, path, **options):
        assert answer(reply) == plain
    return plain


def by_flask(api: Api, path: str, **options: Any) -> Iterator[Reply]:
    """The replies to the same, asked in ways that are not plain."""
    for more in BY_FLASK:
        headers = {**options.get("headers", api.headers), **more.get("headers", {})}
        yield api.ask("GET", path, query_string=more.get("query_string"), headers=headers)


@pytest.fixture
def owner(container: Container, key: str) -> UUID:
    return container.keys.verify(key).api_key_id


@pytest.fixture
def put(container: Container, owner: UUID) -> Callable[..., str]:
    def put(status: Status, **columns: Any) -> str:
        with container.database.transaction() as connection:
            return public_id(rows.put(connection, owner, status, **columns))

    return put


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("state", STATES)
def test_a_response_in_each_state(api: Api, put: Callable[..., str], path: str, state: str) -> None:
    status, columns = STATES[state]
    found, told, body = both(api, f"{path}/{put(status, **columns)}")
    assert found == 200
    assert ("Retry-After" in told) is (status in {Status.QUEUED, Status.IN_PROGRESS})
    assert told["Content-Length"] == str(len(body))


def test_flask_is_not_asked(app: Flask, api: Api, put: Callable[..., str]) -> None:
    def asked(**_: Any) -> NoReturn:
        raise AssertionError("Flask was asked")

    job_id = put(Status.QUEUED)
    for name in ("freddy.get", "openai.get"):
        app.view_functions[name] = asked
    for path in PATHS:
        assert api.ask("GET", f"{path}/{job_id}").status_code == 200
        for reply in by_flask(api, f"{path}/{job_id}"):
            assert reply.status_code == 500


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("job_id", [f"resp_{7:032x}", "resp_1", "resp_%00", "\N{SNOWMAN}", "a%2fb"])
def test_what_is_not_there(api: Api, path: str, job_id: str) -> None:
    assert both(api, f"{path}/{job_id}")[0] == 404


@pytest.mark.parametrize("path", PATHS)
def test_what_is_somebody_else_s_or_expired(
    api: Api, stranger: Api, put: Callable[..., str], container: Container, path: str
) -> None:
    job_id = put(Status.COMPLETED, usage=USAGE)
    assert both(api, f"{path}/{job_id}")[0] == 200
    assert both(stranger, f"{path}/{job_id}")[0] == 404
    with container.database.transaction() as connection:
        rows.change(connection, parse_public_id(job_id) or new_id(), expires_at=rows.EARLIER)
    assert both(api, f"{path}/{job_id}")[0] == 404


@pytest.mark.parametrize("path", PATHS)
def test_who_may_not_ask(
    app: Flask, api: Api, put: Callable[..., str], key: str, container: Container, path: str
) -> None:
    job_id = put(Status.QUEUED)
    writer = container.keys.create("writer", ["responses:write"])[1]
    refused = {
        401: [{}, {"Authorization": "Bearer sk-wrong"}, {"Authorization": f"Basic {key}"}, {"X-API-Key": "\xff"}],
        403: [{"Authorization": f"Bearer {writer}"}],
        400: [{"Authorization": f"Bearer {key}, Bearer {key}"}, {"X-API-Key": f"{key}, {key}"}],
        200: [{"X-API-Key": key}, {"Authorization": f"bearer  {key} "}],
    }
    for status, asking in refused.items():
        for headers in asking:
            assert both(api, f"{path}/{job_id}", headers=headers)[0] == status, headers


@pytest.mark.parametrize("path", PATHS)
def test_each_counts_once(api: Api, put: Callable[..., str], owner: UUID, container: Container, path: str) -> None:
    """Those that are refused, too."""
    container.keys.limit(owner, Overrides(poll_rate=Rate(3, 3600)), keep=True)
    job_id = put(Status.QUEUED)
    asked = [f"{path}/{job_id}", f"{path}/{public_id(new_id())}", f"{path}/{job_id}", f"{path}/{job_id}"]
    replies = [api.ask("GET", each) for each in asked]
    assert [reply.status_code for reply in replies] == [200, 404, 200, 429]
    assert [reply.headers["x-ratelimit-remaining-requests"] for reply in replies] == ["2", "1", "0", "0"]
    assert int(replies[-1].headers["Retry-After"]) > 0
    assert replies[-1].json["error"]["code"] == "rate_limit_exceeded"


def test_without_a_database(api: Api, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked once: each question may take as long as anybody waits for a connection."""
    job_id, asked = put(Status.QUEUED), []

    def down(*_: object) -> NoReturn:
        asked.append(1)
        raise UnavailableError("The database is not available. Try again in a few seconds.")

    monkeypatch.setattr(JobService, "get", down)
    reply = api.ask("GET", f"{URL}/{job_id}")
    assert (reply.status_code, reply.json["error"]["code"], len(asked)) == (503, "unavailable", 1)
    assert reply.headers["Retry-After"]


def test_it_is_logged_and_counted_alike(api: Api, put: Callable[..., str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    both(api, f"{URL}/{put(Status.QUEUED)}")
    both(api, f"{URL}/{public_id(new_id())}")
    logged = [record.fields for record in caplog.records if record.getMessage() == "request"]  # type: ignore[attr-defined]
    assert [(line["method"], line["route"], line["status"]) for line in logged] == [
        ("GET", f"{URL}/<response_id>", status) for status in (200, 404) for _ in range(1 + len(BY_FLASK))
    ]
    metrics = api.ask("GET", "/metrics").text
    route = f'method="GET",route="{URL}/<response_id>"'
    assert f'simmer_http_requests_total{{{route},status="2xx"}} 4.0' in metrics
    assert f'simmer_http_requests_total{{{route},status="4xx"}} 4.0' in metrics
    assert 'simmer_http_refusals_total{code="not_found"} 4.0' in metrics


def test_its_routes_are_flask_s(app: Flask) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert {f"{path}/<response_id>" for path in PATHS} <= rules
