"""Every route that takes a key, with the scope it asks for and the methods its address takes."""

from dataclasses import dataclass

from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect

# Always the same: it is in the names of tests, which every process has to collect alike.
NEVER_WAS = "resp_0192a3b4c5d67e8f9a0b1c2d3e4f5061"
"""A well-formed id that nothing has."""
NO_ENDPOINT, NO_EVENT = NEVER_WAS.replace("resp", "whe"), NEVER_WAS.replace("resp", "evt")
WEBHOOKS = "/v1/webhook_endpoints"
WEBHOOK_URL = "https://192.88.98.1/simmer"
"""A public address that no DNS has to be asked for."""


@dataclass(frozen=True)
class End:
    """What may be asked of one response; `after` follows the id."""

    method: str
    after: str
    dialect: Dialect

    def target(self, response_id: str) -> str:
        return f"{self.dialect.path}/{response_id}{self.after}"

    def __str__(self) -> str:
        return f"{self.dialect.name} {self.method} {self.after}"


ENDS = [
    *(
        End(method, after, dialect)
        for dialect in (FREDDY, OPENAI)
        for method, after in [("GET", ""), ("GET", "?stream=true"), ("POST", "/cancel"), ("DELETE", "")]
    ),
    End("GET", "/input_items", OPENAI),
]

ADDRESSES = {
    **{
        f"{dialect.path}{after}": methods
        for dialect in (FREDDY, OPENAI)
        for after, methods in [
            ("", {"GET", "HEAD", "POST"}),
            (f"/{NEVER_WAS}", {"DELETE", "GET", "HEAD"}),
            (f"/{NEVER_WAS}/cancel", {"POST"}),
        ]
    },
    f"{OPENAI.path}/{NEVER_WAS}/input_items": {"GET", "HEAD"},
    **{
        f"{WEBHOOKS}{after}": methods
        for after, methods in [
            ("", {"GET", "HEAD", "POST"}),
            (f"/{NO_ENDPOINT}", {"DELETE", "GET", "HEAD", "POST"}),
            (f"/{NO_ENDPOINT}/rotate_secret", {"POST"}),
            (f"/{NO_ENDPOINT}/test", {"POST"}),
            (f"/{NO_ENDPOINT}/replay", {"POST"}),
            (f"/{NO_ENDPOINT}/deliveries", {"GET", "HEAD"}),
            (f"/{NO_ENDPOINT}/deliveries/{NO_EVENT}", {"GET", "HEAD"}),
            (f"/{NO_ENDPOINT}/deliveries/{NO_EVENT}/replay", {"POST"}),
        ]
    },
    "/v1/webhook_secret": {"GET", "HEAD"},
    "/v1/webhook_secret/rotate": {"POST"},
    "/v1/models": {"GET", "HEAD"},
    "/v1/models/gpt-4.1": {"GET", "HEAD"},
}

ROUTES = [(method, address) for address, methods in ADDRESSES.items() for method in sorted(methods) if method != "HEAD"]


_CHANGES: dict[str, dict[str, object]] = {"replay": {"since": 0}, "rotate_secret": {}, "rotate": {}}


def good_body(method: str, address: str) -> dict[str, object] | None:
    """With it the request would succeed, but for its key."""
    bodies = {dialect.path: dialect.body() for dialect in (FREDDY, OPENAI)}
    bodies[WEBHOOKS] = {"url": WEBHOOK_URL}
    if method != "POST":
        return None
    if address.startswith((f"{WEBHOOKS}/", "/v1/webhook_secret/")):
        return _CHANGES.get(address.rpartition("/")[2], {}) if "/deliveries/" not in address else None
    return bodies.get(address)
