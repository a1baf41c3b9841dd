"""Who may do what: the rule of every route. A route that stands not in here fails the tests."""

from dataclasses import dataclass
from typing import Literal

from tests.acceptance.isolation.url_map import ROUTES, Route

Who = Literal["no key", "own key", "other key", "revoked key", "expired key", "key lacking the scope"]
Verdict = tuple[int, str | None]
"""Status, and the code if it is an error."""

ALLOWED: Verdict = (200, None)
UNKNOWN_KEY: Verdict = (401, "invalid_api_key")
EXPIRED_KEY: Verdict = (401, "expired_api_key")
NOT_ALLOWED: Verdict = (403, "insufficient_scope")
NOT_FOUND: Verdict = (404, "not_found")


@dataclass(frozen=True)
class Rule:
    """Without a scope the route is public. One that is `owned` is about one job or endpoint, its owner's alone."""

    scope: Literal["responses:read", "responses:write", "webhooks"] | None = None
    owned: bool = False

    @property
    def verdicts(self) -> dict[Who, Verdict]:
        """What each of the callers gets, who would all succeed but for their keys."""
        return {
            "no key": UNKNOWN_KEY if self.scope else ALLOWED,
            "revoked key": UNKNOWN_KEY if self.scope else ALLOWED,
            "expired key": EXPIRED_KEY if self.scope else ALLOWED,
            "key lacking the scope": NOT_ALLOWED if self.scope else ALLOWED,
            "other key": NOT_FOUND if self.owned else ALLOWED,
            "own key": ALLOWED,
        }


PUBLIC = Rule()
READ, WRITE = Rule("responses:read"), Rule("responses:write")
READ_OWN, WRITE_OWN = Rule("responses:read", owned=True), Rule("responses:write", owned=True)
HOOKS, HOOKS_OWN = Rule("webhooks"), Rule("webhooks", owned=True)

RULES = {
    "GET /healthz": PUBLIC,
    "HEAD /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    "HEAD /readyz": PUBLIC,
    "GET /metrics": PUBLIC,
    "HEAD /metrics": PUBLIC,
    "GET /openapi.json": PUBLIC,
    "HEAD /openapi.json": PUBLIC,
    "GET /docs": PUBLIC,
    "HEAD /docs": PUBLIC,
    "GET /": PUBLIC,
    "HEAD /": PUBLIC,
    "GET /ui/<path:asset>": PUBLIC,
    "HEAD /ui/<path:asset>": PUBLIC,
    "POST /v1/model/response": WRITE,
    "GET /v1/model/response": READ,
    "HEAD /v1/model/response": READ,
    "GET /v1/model/response/<response_id>": READ_OWN,
    "HEAD /v1/model/response/<response_id>": READ_OWN,
    "DELETE /v1/model/response/<response_id>": WRITE_OWN,
    "POST /v1/model/response/<response_id>/cancel": WRITE_OWN,
    "POST /v1/responses": WRITE,
    "GET /v1/responses": READ,
    "HEAD /v1/responses": READ,
    "GET /v1/responses/<response_id>": READ_OWN,
    "HEAD /v1/responses/<response_id>": READ_OWN,
    "DELETE /v1/responses/<response_id>": WRITE_OWN,
    "POST /v1/responses/<response_id>/cancel": WRITE_OWN,
    "GET /v1/responses/<response_id>/input_items": READ_OWN,
    "HEAD /v1/responses/<response_id>/input_items": READ_OWN,
    "POST /v1/webhook_endpoints": HOOKS,
    "GET /v1/webhook_endpoints": HOOKS,
    "HEAD /v1/webhook_endpoints": HOOKS,
    "GET /v1/webhook_endpoints/<endpoint_id>": HOOKS_OWN,
    "HEAD /v1/webhook_endpoints/<endpoint_id>": HOOKS_OWN,
    "POST /v1/webhook_endpoints/<endpoint_id>": HOOKS_OWN,
    "DELETE /v1/webhook_endpoints/<endpoint_id>": HOOKS_OWN,
    "POST /v1/webhook_endpoints/<endpoint_id>/rotate_secret": HOOKS_OWN,
    "POST /v1/webhook_endpoints/<endpoint_id>/test": HOOKS_OWN,
    "POST /v1/webhook_endpoints/<endpoint_id>/replay": HOOKS_OWN,
    "GET /v1/webhook_endpoints/<endpoint_id>/deliveries": HOOKS_OWN,
    "HEAD /v1/webhook_endpoints/<endpoint_id>/deliveries": HOOKS_OWN,
    "GET /v1/webhook_endpoints/<endpoint_id>/deliveries/<event_id>": HOOKS_OWN,
    "HEAD /v1/webhook_endpoints/<endpoint_id>/deliveries/<event_id>": HOOKS_OWN,
    "POST /v1/webhook_endpoints/<endpoint_id>/deliveries/<event_id>/replay": HOOKS_OWN,
    "GET /v1/webhook_secret": HOOKS,
    "HEAD /v1/webhook_secret": HOOKS,
    "POST /v1/webhook_secret/rotate": HOOKS,
    "GET /v1/models": READ,
    "HEAD /v1/models": READ,
    "GET /v1/models/<path:name>": READ,
    "HEAD /v1/models/<path:name>": READ,
}


def rule_of(route: Route) -> Rule:
    """Raises AssertionError for a route that has none."""
    assert str(route) in RULES, f"{route} has no rule. Say in {__name__} who may use it."
    return RULES[str(route)]


OWNED = tuple(route for route in ROUTES if RULES.get(str(route), PUBLIC).owned and "response_id" in route.arguments)
"""The routes that are about one job."""
