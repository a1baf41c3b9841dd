"""Every route of webhooks, each answer held against the document."""

from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from app.container import Container
from app.domain.ids import EVENT, new_id, prefixed
from app.domain.requests import JSON
from app.domain.scopes import SCOPES
from tests import rows
from tests.documented import Documented
from tests.integration.api.conftest import Reply, refused
from tests.integration.api.documented.conftest import Held
from tests.integration.services.endpoints import deliver

URL = "/v1/webhook_endpoints"
THERE = "https://192.88.98.1/simmer"
NOBODYS = "whe_0198f3c2a1b47d0c9e5f2a6b8c7d1e03"


@pytest.fixture
def key(container: Container) -> str:
    return container.keys.create("all", SCOPES)[1]


@pytest.fixture
def other(app: Flask, container: Container, documented: Documented) -> Held:
    """Somebody else, who may do everything too."""
    made = Held(app, container.keys.create("other", SCOPES)[1])
    made.documented = documented
    return made


def make(held: Held, **more: Any) -> Any:
    reply = held.ask("POST", URL, json={"url": THERE, **more})
    assert reply.status_code == 200, reply.text
    return reply.json


def id_of(endpoint: Any) -> UUID:
    return UUID(hex=endpoint["id"].removeprefix("whe_"))


def given_up(container: Container, endpoint: Any, **more: Any) -> str:
    return prefixed(EVENT, deliver(container.database, id_of(endpoint), **more))


def paths(endpoint: str, event: str) -> list[tuple[str, str, Any]]:
    """All that is about one endpoint, with a good body each."""
    at = f"{URL}/{endpoint}"
    return [
        ("GET", at, None),
        ("POST", at, {"enabled": True}),
        ("POST", f"{at}/rotate_secret", {}),
        ("POST", f"{at}/test", None),
        ("GET", f"{at}/deliveries", None),
        ("GET", f"{at}/deliveries/{event}", None),
        ("POST", f"{at}/deliveries/{event}/replay", None),
        ("POST", f"{at}/replay", {"since": 0}),
        ("DELETE", at, None),
    ]


def ask(held: Held, method: str, path: str, body: Any) -> Reply:
    return held.ask(method, path, **({} if body is None else {"json": body}))


def test_an_endpoint_from_its_creation_to_its_end(held: Held) -> None:
    made = make(held, events=["response.failed"], description="d")
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made | {"id": "", "created_at": 0} == {
        "id": "",
        "object": "webhook_endpoint",
        "source": "api",
        "url": THERE,
        "events": ["response.failed"],
        "description": "d",
        "enabled": True,
        "disabled_at": None,
        "disabled_reason": None,
        "failing_since": None,
        "created_at": 0,
    }
    at = f"{URL}/{made['id']}"
    assert held.ask("GET", at).json == made
    assert held.ask("POST", at, json={"events": None, "url": None}).json == made
    changed = held.ask("POST", at, json={"events": ["response.completed"], "description": None}).json
    assert changed == made | {"events": ["response.completed"], "description": None}
    off = held.ask("POST", at, json={"enabled": False}).json
    assert (off["enabled"], off["disabled_reason"], bool(off["disabled_at"])) == (False, "disabled_by_owner", True)
    assert held.ask("POST", at, json={"enabled": True}).json == changed
    assert held.ask("DELETE", at).json == {"id": made["id"], "object": "webhook_endpoint", "deleted": True}
    assert refused(held.ask("GET", at))[::2] == (404, "not_found")


def test_a_secret_is_shown_when_it_is_made_and_never_again(held: Held, caplog: pytest.LogCaptureFixture) -> None:
    made = make(held)
    at = f"{URL}/{made['id']}"
    rotated = held.ask("POST", f"{at}/rotate_secret", json={"overlap": 60}).json
    assert rotated["endpoint_id"] == made["id"]
    assert rotated["previous_expires_at"] - rotated["created_at"] == 60
    secrets = {made["secret"], rotated["secret"]}
    assert len(secrets) == 2
    own = held.ask("GET", "/v1/webhook_secret").json
    assert held.ask("GET", "/v1/webhook_secret").json == own
    assert (own["endpoint_id"], own["previous_expires_at"]) == (None, None)
    at_once = held.ask("POST", "/v1/webhook_secret/rotate", json={"overlap": 0}).json
    assert (at_once["secret"] != own["secret"], at_once["previous_expires_at"]) == (True, None)
    shown = [held.ask(*path).text for path in (("GET", at), ("GET", URL), ("POST", f"{at}/test"))]
    shown.append(held.ask("POST", at, json={"enabled": True}).text)
    said = "".join([*shown, *(str(vars(record)) for record in caplog.records)])
    assert f"'route': '{URL}'" in said
    assert not [secret for secret in {*secrets, own["secret"], at_once["secret"]} if secret in said]


def test_a_list_has_pages(held: Held) -> None:
    nothing: JSON = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert held.ask("GET", URL).json == nothing
    ids = [make(held)["id"] for _ in range(3)]
    held.make("openai", webhook={"url": THERE})
    newest = held.ask("GET", f"{URL}?limit=1").json["data"][0]
    assert (newest["source"], newest["url"], newest["events"]) == ("job", "https://192.88.98.1:443", [])
    first = held.ask("GET", f"{URL}?limit=2&source=api").json
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    assert (first["first_id"], first["last_id"]) == (ids[2], ids[1])
    last = held.ask("GET", f"{URL}?limit=2&after={ids[1]}").json
    assert ([one["id"] for one in last["data"]], last["has_more"]) == (ids[:1], False)
    upwards = held.ask("GET", f"{URL}?order=asc&source=api").json
    assert [one["id"] for one in upwards["data"]] == ids


def test_deliveries_are_shown_with_what_was_tried(held: Held, container: Container) -> None:
    made = make(held)
    at = f"{URL}/{made['id']}/deliveries"
    event = given_up(container, made, attempt=2)
    tries = [
        {"attempt": 1, "duration": 0.0314, "status_code": 503, "reply": b"no\xff\0"},
        {"attempt": 2, "duration": 20, "error": "timeout"},
    ]
    with container.database.transaction() as connection:
        for one in tries:
            rows.add_attempt(connection, id_of(made), UUID(hex=event.removeprefix("evt_")), **one)
    shown = held.ask("GET", f"{at}/{event}").json
    assert (shown["status"], shown["failure"], shown["attempt"]) == ("failed", "attempts_exhausted", 2)
    assert (shown["type"], shown["data"]) == ("response.failed", {"id": "resp_1"})
    first, second = shown.pop("attempts")
    assert (first["number"], first["duration_ms"], first["status_code"], first["error"]) == (1, 31, 503, None)
    assert first["reply"] == "no\ufffd\0"
    assert (second["number"], second["status_code"], second["error"], second["reply"]) == (2, None, "timeout", None)
    test = held.ask("POST", f"{URL}/{made['id']}/test").json
    assert (test["type"], test["status"], test["data"], test["attempts"]) == (
        "webhook.test",
        "pending",
        {"id": made["id"]},
        [],
    )
    page = held.ask("GET", f"{at}?limit=1").json
    assert ([one["id"] for one in page["data"]], page["has_more"]) == ([test["id"]], True)
    page = held.ask("GET", f"{at}?limit=1&after={test['id']}").json
    assert (page["data"], page["has_more"]) == ([shown], False)
    assert [one["id"] for one in held.ask("GET", f"{at}?status=pending").json["data"]] == [test["id"]]


def test_events_are_sent_once_more(held: Held, container: Container) -> None:
    made = make(held)
    at = f"{URL}/{made['id']}"
    first, second = (given_up(container, made) for _ in range(2))
    assert held.ask("POST", f"{at}/replay", json={"since": 253402300799}).json["replayed"] == 0
    again = held.ask("POST", f"{at}/deliveries/{first}/replay").json
    assert (again["id"], again["status"], again["failure"]) == (first, "pending", None)
    assert refused(held.ask("POST", f"{at}/deliveries/{first}/replay"))[::2] == (400, "illegal_move")
    replayed = held.ask("POST", f"{at}/replay", json={"since": 0}).json
    assert replayed == {"object": "webhook_replay", "replayed": 1, "has_more": False}
    assert held.ask("GET", f"{at}/deliveries/{second}").json["status"] == "pending"
    held.ask("POST", at, json={"enabled": False})
    for path, options in (("/test", {}), (f"/deliveries/{first}/replay", {}), ("/replay", {"json": {"since": 0}})):
        assert refused(held.ask("POST", f"{at}{path}", **options))[::2] == (400, "webhook_endpoint_disabled")


def test_an_endpoint_that_came_with_jobs_is_read_only(held: Held, container: Container) -> None:
    held.make("freddy", webhook={"url": THERE})
    (lane,) = held.ask("GET", f"{URL}?source=job").json["data"]
    event = given_up(container, lane)
    codes = {
        path: refused(reply)[::2] if (reply := ask(held, method, path, body)).status_code != 200 else None
        for method, path, body in paths(lane["id"], event)
        if method != "GET"
    }
    refusal = (400, "webhook_endpoint_read_only")
    at = f"{URL}/{lane['id']}"
    assert codes == {
        at: refusal,
        f"{at}/rotate_secret": refusal,
        f"{at}/test": refusal,
        f"{at}/deliveries/{event}/replay": None,
        f"{at}/replay": None,
    }


def test_another_keys_endpoint_looks_like_none(held: Held, other: Held, container: Container) -> None:
    """The very same bytes, whatever is asked; and nothing of it changes."""
    made = make(held)
    event = given_up(container, made)
    shown = f"{URL}/{made['id']}", f"{URL}/{made['id']}/deliveries"
    before = [held.ask("GET", path).json for path in shown]
    for theirs, unknown, malformed in zip(
        paths(made["id"], event), paths(NOBODYS, event), paths("whe_x", "evt_x"), strict=True
    ):
        replies = [ask(other, *path) for path in (theirs, unknown, malformed)]
        assert [reply.status_code for reply in replies] == [404] * 3, theirs
        assert len({reply.data for reply in replies}) == 1
    assert other.ask("GET", URL).json["data"] == []
    assert refused(other.ask("GET", f"{URL}?after={made['id']}"))[2:] == ("invalid_value", "after")
    assert [held.ask("GET", path).json for path in shown] == before


def test_another_endpoints_delivery_looks_like_none(held: Held, container: Container) -> None:
    mine, also_mine = make(held), make(held)
    event = given_up(container, also_mine)
    at = f"{URL}/{mine['id']}/deliveries"
    unknown = prefixed(EVENT, new_id())
    assert held.ask("GET", f"{at}/{event}").data == held.ask("GET", f"{at}/{unknown}").data
    assert held.ask("POST", f"{at}/{event}/replay").status_code == 404
    assert refused(held.ask("GET", f"{at}?after={event}"))[2:] == ("invalid_value", "after")


def test_all_of_it_needs_the_scope(app: Flask, container: Container, documented: Documented) -> None:
    poor = Held(app, container.keys.create("poor", [scope for scope in SCOPES if scope != "webhooks"])[1])
    poor.documented = documented
    asked = [*paths(NOBODYS, "evt_x"), ("GET", URL, None), ("POST", URL, {"url": THERE})]
    for path in [*asked, ("GET", "/v1/webhook_secret", None), ("POST", "/v1/webhook_secret/rotate", {})]:
        assert refused(ask(poor, *path))[::2] == (403, "insufficient_scope"), path
