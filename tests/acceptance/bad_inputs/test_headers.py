"""What every answer tells a browser: those of all routes, refusals of the app and of gunicorn, streams, and 304s."""

import re
from collections.abc import Iterator

from app.factory import create_app
from tests.acceptance.bad_inputs.dialects import OPENAI, Dialect, both
from tests.acceptance.bad_inputs.raw import Connection, Reply, ask, request
from tests.acceptance.bad_inputs.routes import NEVER_WAS
from tests.acceptance.bad_inputs.site import CANARY, Site

POLICY = "default-src 'none'; frame-ancestors 'none'"
EXPECTED = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    # Nobody needs to know what serves it.
    "Server": None,
    "X-Powered-By": None,
    # Only who speaks TLS may say that it is spoken.
    "Strict-Transport-Security": None,
}
CLOSE = ("Connection", "close")


def stray(reply: Reply, **own: str) -> dict[str, str | None]:
    """The headers that are not as they have to be; `own` are the view's."""
    wanted = EXPECTED | {name.replace("_", "-"): value for name, value in own.items()}
    return {name: reply.header(name) for name, value in wanted.items() if reply.header(name) != value}


def every_request(site: Site) -> Iterator[tuple[str, str]]:
    """Method and address for all that the URL map has."""
    for rule in create_app(site.container.settings).url_map.iter_rules():
        for method in sorted(rule.methods or ()):
            yield method, re.sub(r"<[^>]+>", NEVER_WAS, rule.rule)


def test_every_route(site: Site) -> None:
    own = {address: {"Cache_Control": "no-cache"} for address in ("/", "/docs", "/openapi.json")}
    seen = 0
    for method, address in every_request(site):
        for key in (site.key, CANARY):
            reply = site.ask(method, address, {} if method == "POST" else None, [CLOSE], key=key)
            expected = dict(own.get(address, {}))
            if address in {"/", "/docs"}:
                expected["Content_Security_Policy"] = reply.header("Content-Security-Policy") or ""
            assert stray(reply, **expected) == {}, (method, address, reply.status)
            seen += 1
    assert seen > 40


def test_the_page_has_a_policy_of_its_own(site: Site) -> None:
    reply = site.ask("GET", "/docs")
    policy = reply.header("Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_what_no_route_answers(site: Site) -> None:
    for method, address in [("GET", f"/{CANARY}"), ("PUT", OPENAI.path), ("OPTIONS", OPENAI.path), ("TRACE", "/")]:
        reply = site.ask(method, address)
        assert (reply.status in {404, 405}, stray(reply)) == (True, {}), (method, address)


def test_what_gunicorn_refuses(site: Site) -> None:
    refused = {
        400: b"GET / nonsense\r\n\r\n",
        414: b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n\r\n",
        431: b"GET / HTTP/1.1\r\nX: " + b"a" * 9_000 + b"\r\n\r\n",
    }
    for status, data in refused.items():
        reply = ask(site.url, data)
        assert (reply.status, stray(reply)) == (status, {})
    incomplete = request("POST", OPENAI.path, [("X-API-Key", site.key), ("Transfer-Encoding", "chunked")]) + b"no\r\n"
    assert stray(ask(site.url, incomplete)) == {}


@both
def test_what_has_not_changed(site: Site, dialect: Dialect) -> None:
    address = f"{dialect.path}/{site.create(dialect)}"
    for target, own in [(address, {}), ("/openapi.json", {"Cache_Control": "no-cache"})]:
        tag = site.ask("GET", target).header("ETag") or ""
        reply = site.ask("GET", target, headers=[("If-None-Match", tag)])
        assert (reply.status, reply.body, stray(reply, **own)) == (304, b"", {})


@both
def test_a_stream(site: Site, dialect: Dialect) -> None:
    with Connection(site.url) as connection:
        connection.send(site.request("POST", dialect.path, dialect.body(stream=True)))
        reply = connection.start()
        assert (reply.status, reply.header("Content-Type")) == (200, "text/event-stream; charset=utf-8")
        assert stray(reply) == {}
