"""Every route of the app with every kind of wrong key; a route that says nothing of its scope fails here."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.container import Container
from app.domain.ids import new_id, public_id
from app.domain.scopes import DEFAULT_SCOPES, SCOPES
from app.domain.secrets import new_key
from app.factory import create_app
from app.settings import Settings
from tests.integration.api.conftest import BODY, Api, refused, stored
from tests.processes import free_port

PUBLIC = {"ops.healthz", "ops.readyz", "metrics.show", "openapi.document", "docs.docs", "ui.page", "ui.file"}
"""The endpoints that need no key, by decision."""
INVALID = (401, "authentication_error", "invalid_api_key", None)
EXPIRED = (401, "authentication_error", "expired_api_key", None)
DUPLICATE = (400, "invalid_request_error", "duplicate_header", None)
FORBIDDEN = (403, "permission_error", "insufficient_scope", None)

Headers = list[tuple[str, str]]


class Route(NamedTuple):
    """One method of one rule, with its arguments filled in."""

    method: str
    path: str
    scope: str


def guarded(app: Flask) -> Iterator[Route]:
    """All routes that need a key."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint in PUBLIC:
            continue
        scope = getattr(app.view_functions[rule.endpoint], "scope", None)
        assert scope in SCOPES, f"{rule} has no `requires(scope)` and is not in PUBLIC"
        built = rule.build(dict.fromkeys(rule.arguments, public_id(new_id())))
        assert built
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield Route(method, built[1], scope)


def test_a_route_without_a_scope_is_noticed(app: Flask) -> None:
    assert {route.method for route in guarded(app)} == {"GET", "HEAD", "POST", "DELETE"}
    app.add_url_rule("/v1/new", endpoint="new", view_func=lambda: "hi")
    with pytest.raises(AssertionError, match="/v1/new"):
        list(guarded(app))


def test_reading_and_writing_are_scopes_of_their_own(app: Flask) -> None:
    for route in guarded(app):
        wanted = "responses:read" if route.method in {"GET", "HEAD"} else "responses:write"
        if "/webhook_" in route.path:
            wanted = "webhooks"
        assert route.scope == wanted, route


def test_public_routes_need_no_key(app: Flask) -> None:
    public = [rule for rule in app.url_map.iter_rules() if rule.endpoint in PUBLIC]
    assert {rule.endpoint for rule in public} == PUBLIC
    addresses = [rule.rule.replace("<path:asset>", "base.css") for rule in public]
    assert {app.test_client().get(address).status_code for address in addresses} == {200}


def bearer(key: str) -> Headers:
    return [("Authorization", f"Bearer {key}")]


def _revoked(container: Container) -> Headers:
    record, key = container.keys.create("gone", SCOPES)
    container.keys.revoke(record.id)
    return bearer(key)


def _rotated(container: Container) -> Headers:
    record, key = container.keys.create("rotated", SCOPES)
    container.keys.rotate(record.id, overlap=0)
    return bearer(key)


def _good(container: Container) -> str:
    return container.keys.create("good", SCOPES)[1]


def _bad_checksum(container: Container) -> Headers:
    key = _good(container)
    return bearer(key[:-1] + ("0" if key[-1] != "0" else "1"))


def _two(container: Container) -> Headers:
    return bearer(_good(container)) * 2


WRONG: dict[str, tuple[Callable[[Container], Headers], tuple[int, str, str, None]]] = {
    "no key": (lambda _: [], INVALID),
    "empty": (lambda _: bearer(""), INVALID),
    "Basic": (lambda _: [("Authorization", "Basic dXNlcjpwYXNz")], INVALID),
    "no scheme": (lambda container: [("Authorization", _good(container))], INVALID),
    "Basic beside a good one": (lambda c: [("Authorization", "Basic dXNl"), ("X-API-Key", _good(c))], INVALID),
    "malformed": (lambda _: bearer("sk-simmer-x"), INVALID),
    "no ASCII": (lambda _: bearer("sk-simmer-" + "\xe9" * 36), INVALID),
    "bad checksum": (_bad_checksum, INVALID),
    "unknown": (lambda _: bearer(new_key()), INVALID),
    "unknown in X-API-Key": (lambda _: [("X-API-Key", new_key())], INVALID),
    "revoked": (_revoked, INVALID),
    "expired": (lambda container: bearer(container.keys.create("old", SCOPES, 1e-6)[1]), EXPIRED),
    "rotated away": (_rotated, EXPIRED),
    "two headers": (_two, DUPLICATE),
    "two X-API-Key": (lambda container: [("X-API-Key", _good(container))] * 2, DUPLICATE),
}


@pytest.mark.parametrize("kind", WRONG)
def test_every_route_refuses_a_wrong_key(app: Flask, container: Container, kind: str) -> None:
    make, wanted = WRONG[kind]
    headers = make(container)
    for route in guarded(app):
        response = app.test_client().open(route.path, method=route.method, headers=headers, json=BODY)
        assert response.status_code == wanted[0], route
        assert ("WWW-Authenticate" in response.headers) == (wanted[0] == 401), route
        if route.method != "HEAD":
            assert refused(response) == wanted, route
    assert stored(container) == 0


def test_all_invalid_keys_get_the_same_bytes(app: Flask, container: Container) -> None:
    route = next(guarded(app))
    bodies = {
        app.test_client().open(route.path, method=route.method, headers=make(container)).data
        for make, wanted in WRONG.values()
        if wanted == INVALID
    }
    assert len(bodies) == 1


def test_every_route_wants_its_scope(app: Flask, container: Container) -> None:
    for route in guarded(app):
        others = [scope for scope in SCOPES if scope != route.scope]
        lacking = container.keys.create("lacking", others)[1]
        having = container.keys.create("having", [route.scope])[1]
        response = _open(app, route, lacking)
        assert response.status_code == 403, route
        if route.method != "HEAD":
            assert refused(response) == FORBIDDEN
        assert stored(container) == 0
        assert _open(app, route, having).status_code in {200, 404, 415}, route


def _open(app: Flask, route: Route, key: str) -> TestResponse:
    # Without a body: a create that got past the key is a 415 and stores nothing.
    return app.test_client().open(route.path, method=route.method, headers=bearer(key))


@pytest.mark.parametrize("name", ["api_key", "key", "access_token", "Authorization", "X-API-Key"])
def test_a_key_in_the_query_is_no_key(app: Flask, key: str, name: str, container: Container) -> None:
    for route in guarded(app):
        for value in (key, f"Bearer {key}"):
            client = app.test_client()
            response = client.open(route.path, method=route.method, query_string={name: value}, json=BODY)
            assert response.status_code == 401, route
            assert key not in response.text
    assert stored(container) == 0


def test_a_wrong_checksum_asks_no_database(settings: Settings, container: Container) -> None:
    dead = settings.model_copy(update={"database_url": f"postgresql://nobody@127.0.0.1:{free_port()}/none"})
    app = create_app(dead)
    route = next(guarded(app))
    client = app.test_client()
    assert client.open(route.path, method=route.method, headers=_bad_checksum(container)).status_code == 401
    assert client.open(route.path, method=route.method, headers=bearer(new_key())).status_code == 503


def test_a_revoked_key_ends_when_the_cache_does(settings: Settings, container: Container) -> None:
    app = create_app(settings.model_copy(update={"key_cache": 0}))
    record, key = container.keys.create("short", DEFAULT_SCOPES)
    api = Api(app, key)
    assert api.ask("GET").status_code == 200
    container.keys.revoke(record.id)
    assert refused(api.ask("GET")) == INVALID
    app.extensions["simmer"].database.close()


def test_both_secrets_are_good_while_they_overlap(app: Flask, container: Container) -> None:
    record, old = container.keys.create("rotated", DEFAULT_SCOPES)
    job_id = Api(app, old).submit()
    _, new = container.keys.rotate(record.id, overlap=60)
    for key in (old, new):
        assert Api(app, key).ask("GET", f"/v1/model/response/{job_id}").status_code == 200
