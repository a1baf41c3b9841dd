"""Bad inputs about webhooks: each is refused with its code and its path, leaves nothing, and is not repeated."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from app.container import Container
from app.domain.scopes import SCOPES
from app.domain.webhook_urls import WebhookUrlError
from tests.integration.api.conftest import Api, refused
from tests.integration.services.public_sender import PublicSender

CANARY = "canary-5b0e"
ENDPOINTS = "/v1/webhook_endpoints"
CREATES: dict[str, dict[str, Any]] = {
    "/v1/responses": {"model": "m", "background": True, "input": "Hi"},
    "/v1/model/response": {"model": "m", "background": True, "inputs": [{"role": "user", "content": "Hi"}]},
}
INVALID_URLS = [
    f"http://{CANARY}.example.com/",
    f"file:///etc/{CANARY}",
    f"https://{CANARY}:secret@example.com/",
    f"https://{CANARY}.example.com:22/",
    f"https://example.com/#{CANARY}",
    f"{CANARY}",
    "https://",
    "https://exa mple.com/",
]
NOT_ALLOWED = [
    "127.0.0.1",
    "10.1.2.3",
    "169.254.169.254",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "100.64.0.1",
    "168.63.129.16",
    "2130706433",
    "0x7f.1",
    "127.1",
    "\uff11\uff12\uff17.0.0.1",
    "localhost",
    f"{CANARY}.internal",
    "inside.example.com",
]
ASTRAY = [
    *((url, "invalid_webhook_url") for url in INVALID_URLS),
    *((f"https://{host}/{CANARY}", "webhook_url_not_allowed") for host in NOT_ALLOWED),
]
# What is wrong beside the URL, and the path within the object.
OTHERWISE: list[tuple[Any, str, str]] = [
    ({}, "missing_required_parameter", "url"),
    ({"url": 1}, "invalid_type", "url"),
    ({"url": None}, "invalid_type", "url"),
    ({"url": "https://example.com/" + "a" * 2048}, "string_too_long", "url"),
    ({"url": "https://example.com/", "events": []}, "missing_required_parameter", "events"),
    ({"url": "https://example.com/", "events": CANARY}, "invalid_type", "events"),
    ({"url": "https://example.com/", "events": [CANARY]}, "invalid_value", "events[0]"),
    ({"url": "https://example.com/", "events": ["response.failed", "webhook.test"]}, "invalid_value", "events[1]"),
    ({"url": "https://example.com/", "events": ["response.failed"] * 5}, "array_too_long", "events"),
    ({"url": "https://example.com/", "secret": CANARY}, "unknown_parameter", "secret"),
]


CHANGES: list[tuple[str, Any, str, str]] = [
    ("", {"url": f"http://{CANARY}.example.com"}, "invalid_webhook_url", "url"),
    ("", {"url": "https://inside.example.com"}, "webhook_url_not_allowed", "url"),
    ("", {"events": []}, "missing_required_parameter", "events"),
    ("", {"events": [CANARY]}, "invalid_value", "events[0]"),
    ("", {"enabled": "true"}, "invalid_type", "enabled"),
    ("", {"description": "a" * 513}, "string_too_long", "description"),
    ("", {CANARY[:6]: 1}, "unknown_parameter", CANARY[:6]),
    ("/rotate_secret", {"overlap": -1}, "out_of_range", "overlap"),
    ("/rotate_secret", {"overlap": 604_801}, "out_of_range", "overlap"),
    ("/rotate_secret", {"overlap": 1.5}, "invalid_type", "overlap"),
    ("/replay", {}, "missing_required_parameter", "since"),
    ("/replay", {"since": -1}, "out_of_range", "since"),
    ("/replay", {"since": 253_402_300_800}, "out_of_range", "since"),
    ("/replay", {"since": CANARY}, "invalid_type", "since"),
]


@pytest.fixture
def sender(app: Flask) -> PublicSender:
    """Its names are all public, but for one."""
    made = PublicSender(inside={"inside.example.com"})
    vars(app.extensions["simmer"])["webhook_sender"] = made
    return made


@pytest.fixture
def key(container: Container) -> str:
    return container.keys.create("all", SCOPES)[1]


def trace(container: Container) -> list[int]:
    tables = ("jobs", "webhook_endpoints", "webhook_secrets", "webhook_deliveries")
    with container.database.transaction() as connection:
        return [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables]


def refuses(api: Api, container: Container, path: str, body: Any) -> tuple[int, str, str | None]:
    before = trace(container)
    reply = api.ask("POST", path, json=body)
    status, _, code, param = refused(reply)
    assert CANARY not in reply.text
    assert trace(container) == before
    return status, code, param


@pytest.mark.usefixtures("sender")
@pytest.mark.parametrize("path", [ENDPOINTS, *CREATES])
def test_a_url_that_leads_astray(api: Api, container: Container, path: str) -> None:
    for url, code in ASTRAY:
        given, param = ({"url": url}, "url") if path == ENDPOINTS else ({"webhook": {"url": url}}, "webhook.url")
        assert refuses(api, container, path, CREATES.get(path, {}) | given) == (400, code, param), url


@pytest.mark.usefixtures("sender")
@pytest.mark.parametrize("path", [ENDPOINTS, *CREATES])
def test_what_else_may_be_wrong(api: Api, container: Container, path: str) -> None:
    for given, code, at in OTHERWISE:
        body = given if path == ENDPOINTS else CREATES[path] | {"webhook": given}
        param = at if path == ENDPOINTS else f"webhook.{at}"
        assert refuses(api, container, path, body) == (400, code, param), given


@pytest.mark.usefixtures("sender")
def test_a_bad_change(api: Api, container: Container) -> None:
    made = api.ask("POST", ENDPOINTS, json={"url": "https://example.com/"}).json
    at = f"{ENDPOINTS}/{made['id']}"
    before = api.ask("GET", at).json
    for after, body, code, param in CHANGES:
        assert refuses(api, container, f"{at}{after}", body) == (400, code, param), body
    assert api.ask("GET", at).json == before


@pytest.mark.usefixtures("sender")
def test_a_bad_query(api: Api) -> None:
    made = api.ask("POST", ENDPOINTS, json={"url": "https://example.com/"}).json["id"]
    for query in ("limit=0", "limit=101", "limit=abc", f"after={CANARY}", f"before={CANARY}", "status=x"):
        for path in (ENDPOINTS, f"{ENDPOINTS}/{made}/deliveries"):
            reply = api.ask("GET", f"{path}?{query}")
            assert refused(reply)[0] == 400
            assert CANARY not in reply.text


def test_the_dns_that_does_not_answer_is_nobodys_fault(api: Api, container: Container, sender: PublicSender) -> None:
    sender.up = False
    for path, body in ((ENDPOINTS, {}), *CREATES.items()):
        given = (
            {"url": "https://example.com/"}
            if path == ENDPOINTS
            else body | {"webhook": {"url": "https://example.com/"}}
        )
        assert refuses(api, container, path, given) == (503, "unavailable", None)


def test_the_real_guard_is_in_place(api: Api, app: Flask) -> None:
    with pytest.raises(WebhookUrlError):
        app.extensions["simmer"].webhook_sender.check("https://127.0.0.1/")
    assert refused(api.ask("POST", ENDPOINTS, json={"url": "https://127.0.0.1/"}))[2] == "webhook_url_not_allowed"


@pytest.mark.parametrize("path", CREATES)
def test_an_idempotency_key_covers_the_webhook(api: Api, container: Container, sender: PublicSender, path: str) -> None:
    webhook = {"url": "https://example.com/a", "events": ["response.failed"]}
    headers = api.headers | {"Idempotency-Key": "k"}
    first = api.ask("POST", path, json=CREATES[path] | {"webhook": webhook}, headers=headers)
    sender.up = False
    again = api.ask("POST", path, json=CREATES[path] | {"webhook": webhook}, headers=headers)
    assert again.json["id"] == first.json["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    others = (None, webhook | {"url": "https://example.com/b"}, webhook | {"events": ["response.completed"]})
    for other in others:
        body = CREATES[path] | ({"webhook": other} if other else {})
        reply = api.ask("POST", path, json=body, headers=headers)
        assert refused(reply)[::2] == (422, "idempotency_key_reused")
    assert trace(container)[0] == 1


@pytest.mark.parametrize("path", CREATES)
def test_the_job_has_the_webhook_and_its_request_has_not(
    api: Api, container: Container, sender: PublicSender, path: str
) -> None:
    body = CREATES[path] | {"webhook": {"url": f"https://example.com/{CANARY}", "events": ["response.failed"]}}
    reply = api.ask("POST", path, json=body)
    assert reply.status_code == 200
    shown = api.ask("GET", f"{path}/{reply.json['id']}").text
    assert CANARY not in reply.text + shown
    with container.database.transaction() as connection:
        row = connection.execute(text("SELECT * FROM jobs")).one()
        lane = connection.execute(text("SELECT * FROM webhook_endpoints")).one()
    assert (row.webhook_endpoint_id, row.webhook_url) == (lane.id, f"https://example.com/{CANARY}")
    assert row.webhook_events == ["response.failed"]
    assert CANARY not in f"{row.request}{row.inputs}{row.metadata}{lane}"
    assert sender.checked == [f"https://example.com/{CANARY}"]
