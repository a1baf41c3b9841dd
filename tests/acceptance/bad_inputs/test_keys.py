"""Who is not let in, whatever it asks for: on every route, with the same bytes."""

import json
import re
from collections.abc import Sequence

import pytest

from app.domain.secrets import new_key
from tests.acceptance.bad_inputs.raw import Reply, ask, request
from tests.acceptance.bad_inputs.routes import NEVER_WAS, NO_ENDPOINT, NO_EVENT, ROUTES, good_body
from tests.acceptance.bad_inputs.site import CANARY, JSON_TYPE, SCOPES, Error, Site

UNKNOWN = (401, "authentication_error", "invalid_api_key", None)
EXPIRED = (401, "authentication_error", "expired_api_key", None)
NOT_ALLOWED = (403, "permission_error", "insufficient_scope", None)
DUPLICATE = (400, "invalid_request_error", "duplicate_header", None)

every_route = pytest.mark.parametrize(("method", "address"), ROUTES)


def test_no_route_is_left_out(site: Site) -> None:
    """What the API itself says of its routes is what these tables hold."""
    paths = site.ask("GET", "/openapi.json").json["paths"]
    guarded = {
        (method.upper(), re.sub(r"{\w+}", "…", path))
        for path, item in paths.items()
        for method in {"get", "post", "put", "patch", "delete"} & item.keys()
        if item[method]["security"]
    }
    assert guarded == {
        (method, re.sub(f"{NEVER_WAS}|{NO_ENDPOINT}|{NO_EVENT}|gpt-4.1", "…", address)) for method, address in ROUTES
    }


def asked(site: Site, method: str, target: str, *headers: tuple[str, str]) -> Reply:
    """With nothing but these headers; nothing may come of it."""
    body = good_body(method, target.partition("?")[0])
    data = None if body is None else json.dumps(body).encode()
    before = site.stored()
    reply = ask(site.url, request(method, target, [JSON_TYPE, *headers], data))
    assert site.stored() == before
    assert CANARY not in reply.text
    return reply


def wrong_keys(site: Site) -> dict[str, str]:
    """Keys that open nothing."""
    record, revoked = site.container.keys.create("revoked", SCOPES)
    site.container.keys.revoke(record.id)
    return {
        "malformed": CANARY,
        "empty": "",
        "cut off": site.key[:-1],
        "too long": site.key + "x",
        "bad checksum": site.key[:-1] + ("x" if site.key[-1] != "x" else "y"),
        "unknown": new_key(),
        "revoked": revoked,
        "not ASCII": site.key[:-1] + "é",
        "very long": "x" * 7_000,
    }


@every_route
def test_nobody_can_tell_a_wrong_key_from_none(site: Site, method: str, address: str) -> None:
    none = asked(site, method, address)
    assert none.error == UNKNOWN
    assert none.header("www-authenticate") == "Bearer"
    keys = wrong_keys(site)
    refused = {
        **{f"{name} as Bearer": [("Authorization", f"Bearer {key}")] for name, key in keys.items()},
        **{f"{name} as X-API-Key": [("X-API-Key", key)] for name, key in keys.items()},
        "Basic": [("Authorization", f"Basic {site.key}")],
        "no scheme": [("Authorization", site.key)],
        "scheme alone": [("Authorization", "Bearer")],
        "Digest": [("Authorization", f'Digest username="{CANARY}, b", realm="a", qop=auth, uri="/"')],
        "Basic, though another header is right": [("Authorization", "Basic YTpi"), ("X-API-Key", site.key)],
        "in a cookie": [("Cookie", f"Authorization={site.key}; X-API-Key={site.key}")],
    }
    assert {name: asked(site, method, address, *headers).body for name, headers in refused.items()} == dict.fromkeys(
        refused, none.body
    )


@every_route
@pytest.mark.parametrize("name", ["key", "api_key", "access_token", "X-API-Key", "Authorization"])
def test_a_key_in_the_query_opens_nothing(site: Site, method: str, address: str, name: str) -> None:
    for value in (site.key, f"Bearer%20{site.key}"):
        reply = asked(site, method, f"{address}?{name}={value}")
        assert reply.error == UNKNOWN
        assert site.key not in reply.text


def doubled(site: Site) -> dict[str, Sequence[tuple[str, str]]]:
    """Headers of which there are too many, though each would do."""
    right, other = f"Bearer {site.key}", f"Bearer {site.new_key()}"
    digest = f'Digest username="{CANARY}", realm="a"'
    return {
        "twice the same": [("Authorization", right), ("Authorization", right)],
        "two keys": [("Authorization", right), ("authorization", other)],
        "the wrong one first": [("Authorization", f"Bearer {CANARY}"), ("AUTHORIZATION", right)],
        "Basic first": [("Authorization", "Basic YTpi"), ("Authorization", right)],
        "Basic last": [("Authorization", right), ("Authorization", "Basic YTpi")],
        "Basic twice": [("Authorization", "Basic YTpi"), ("Authorization", "Basic YTpj")],
        "Digest first": [("Authorization", digest), ("Authorization", right)],
        "Digest twice": [("Authorization", digest), ("Authorization", digest)],
        "far apart": [("Authorization", right), ("Accept", "*/*"), ("Authorization", other)],
        "in one line": [("Authorization", f"{right}, {other}")],
        "two X-API-Keys": [("X-API-Key", site.key), ("X-API-Key", site.key)],
    }


@every_route
def test_two_headers_are_one_too_many(site: Site, method: str, address: str) -> None:
    refused = {name: asked(site, method, address, *headers).error for name, headers in doubled(site).items()}
    expected: dict[str, Error] = dict.fromkeys(refused, DUPLICATE)
    assert refused == expected
