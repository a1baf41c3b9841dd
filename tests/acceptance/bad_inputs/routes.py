"""Every route that takes a key, with the scope it asks for and the methods its address takes."""

from dataclasses import dataclass

from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect

# Always the same: it is in the names of tests, which every process has to collect alike.
NEVER_WAS = "resp_0192a3b4c5d67e8f9a0b1c2d3e4f5061"
"""A well-formed id that nothing has."""


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
    "/v1/models": {"GET", "HEAD"},
    "/v1/models/gpt-4.1": {"GET", "HEAD"},
}

ROUTES = [(method, address) for address, methods in ADDRESSES.items() for method in sorted(methods) if method != "HEAD"]


def good_body(method: str, address: str) -> dict[str, object] | None:
    """With it the request would succeed, but for its key."""
    bodies = {dialect.path: dialect.body() for dialect in (FREDDY, OPENAI)}
    return bodies.get(address) if method == "POST" else None
