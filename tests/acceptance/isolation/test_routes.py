"""Every route of the URL map, with every kind of key: who gets in, and who is told what."""

from dataclasses import dataclass, replace
from uuid import UUID

import pytest
from flask import Flask, Response

from app.domain.ids import ENDPOINT, EVENT, prefixed, public_id
from tests import rows
from tests.acceptance.bad_inputs.raw import Reply
from tests.acceptance.bad_inputs.routes import NEVER_WAS, NO_ENDPOINT, NO_EVENT, WEBHOOK_URL
from tests.acceptance.bad_inputs.site import SCOPES, Site
from tests.acceptance.isolation.asking import appearance, ask
from tests.acceptance.isolation.rules import ALLOWED, PUBLIC, RULES, Rule, Verdict, Who, rule_of
from tests.acceptance.isolation.url_map import ROUTES, Route, routes_of
from tests.integration.services.endpoints import deliver

every_route = pytest.mark.parametrize("route", ROUTES, ids=str)
METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
ALL_SCOPES = {"responses:read", "responses:write", "webhooks", "admin"}


def test_no_rule_is_of_a_route_that_is_gone() -> None:
    assert RULES.keys() == {str(route) for route in ROUTES}


@every_route
def test_a_route_asks_for_the_scope_of_its_rule(route: Route) -> None:
    rule = rule_of(route)
    assert route.operation, f"{route} is declared with no `operation`."
    assert route.operation.scope == rule.scope
    assert rule.owned == bool(route.arguments & {"response_id", "endpoint_id"})


def test_a_new_route_fails_until_it_has_a_rule() -> None:
    app = Flask("planted")
    app.add_url_rule("/v1/planted/<response_id>", view_func=Response)
    planted = [route for route in routes_of(app) if route.address.startswith("/v1/planted")]
    assert {route.method for route in planted} == {"GET", "HEAD", "OPTIONS"}
    for route in planted:
        with pytest.raises(AssertionError, match="has no rule"):
            rule_of(route)
        with pytest.raises(AssertionError, match="has no rule"):
            test_a_route_asks_for_the_scope_of_its_rule(route)


@dataclass(frozen=True)
class Caller:
    """A key, and the job and the delivery that it asks for where a route is about one."""

    key: str | None
    job_id: str
    endpoint_id: str = NO_ENDPOINT
    event_id: str = NO_EVENT

    def ask(self, site: Site, route: Route) -> Reply:
        ids = {"response_id": self.job_id, "endpoint_id": self.endpoint_id, "event_id": self.event_id}
        return ask(site.url, route, route.target({**ids, "name": "gpt-4.1", "asset": "base.css"}), self.key)


def callers(site: Site, rule: Rule) -> dict[Who, Caller]:
    """Who asks, the owner last. All ask for the owner's job, but for the one whose own job its scopes keep from it."""
    keys = site.container.keys
    owner, own_key = keys.create("owner", SCOPES)
    lacking, lacking_key = keys.create("lacking", sorted(ALL_SCOPES - {rule.scope}))
    revoked, revoked_key = keys.create("revoked", SCOPES)
    keys.revoke(revoked.id)
    theirs, its_own = (_things_of(site, key.id) for key in (owner, lacking))
    return {
        "no key": Caller(None, *theirs),
        "revoked key": Caller(revoked_key, *theirs),
        "expired key": Caller(site.new_key(lifetime=0.001), *theirs),
        "key lacking the scope": Caller(lacking_key, *its_own),
        "other key": Caller(site.new_key(), *theirs),
        "own key": Caller(own_key, *theirs),
    }


def _things_of(site: Site, key_id: UUID) -> tuple[str, str, str]:
    """The ids of a job, of a webhook endpoint, and of an event that did not reach it."""
    with site.container.database.transaction() as connection:
        job_id = rows.put(connection, key_id)
        endpoint_id = rows.add_endpoint(connection, key_id, WEBHOOK_URL)
    event_id = deliver(site.container.database, endpoint_id)
    return public_id(job_id), prefixed(ENDPOINT, endpoint_id), prefixed(EVENT, event_id)


def verdict(route: Route, reply: Reply) -> Verdict:
    """What the caller got; the code only where there is a body to tell it."""
    if reply.status == 200 or route.method == "HEAD":
        return reply.status, None
    return reply.status, reply.error[2]


@every_route
def test_who_gets_in(site: Site, route: Route) -> None:
    rule = rule_of(route)
    expected = {
        who: (status, None if route.method == "HEAD" else code) for who, (status, code) in rule.verdicts.items()
    }
    got: dict[Who, Verdict] = {}
    for who, caller in callers(site, rule).items():
        before = site.stored()
        got[who] = verdict(route, caller.ask(site, route))
        assert expected[who] == ALLOWED or site.stored() == before, who
    assert got == expected


THE_SAME = [route for route in ROUTES if RULES.get(str(route)) == PUBLIC and route.address != "/metrics"]


@pytest.mark.parametrize("route", THE_SAME, ids=str)
def test_what_is_public_is_the_same_for_everybody(site: Site, route: Route) -> None:
    first, *others = [appearance(caller.ask(site, route)) for caller in callers(site, PUBLIC).values()]
    assert others == [first] * len(others)


def test_the_figures_are_of_nobody_in_particular(site: Site) -> None:
    """They change from one moment to the next, so that they can't be compared."""
    [route] = [route for route in ROUTES if str(route) == "GET /metrics"]
    for caller in callers(site, PUBLIC).values():
        reply = caller.ask(site, route)
        assert (reply.status, "simmer_http_requests_total" in reply.text) == (200, True)
        of_theirs = [caller.key, caller.job_id, caller.endpoint_id, caller.event_id]
        assert [text for text in of_theirs if text and text.rpartition("_")[2] in reply.text] == []


@pytest.mark.parametrize("address", sorted({route.address for route in ROUTES}))
def test_a_method_that_is_not_taken_tells_nothing(site: Site, address: str) -> None:
    """OPTIONS is one of them, everywhere."""
    taken = {route.method: route for route in ROUTES if route.address == address}
    known = next(iter(taken.values()))
    for method in METHODS - taken.keys():
        route = replace(known, method=method)
        asking = [*callers(site, PUBLIC).values(), Caller(site.key, NEVER_WAS)]
        first, *others = [appearance(caller.ask(site, route)) for caller in asking]
        assert first[0] == 405, method
        assert others == [first] * len(others), method
