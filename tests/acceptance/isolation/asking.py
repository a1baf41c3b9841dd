"""Requests for the routes of the URL map, replies to HEAD, and what of a reply a stranger must not tell apart."""

import json
from collections.abc import Sequence

from tests.acceptance.bad_inputs.raw import Connection, Headers, Reply, request
from tests.acceptance.bad_inputs.routes import good_body
from tests.acceptance.bad_inputs.site import JSON_TYPE
from tests.acceptance.isolation.url_map import Route

Pairs = Sequence[tuple[str, str]]
_TELLING = {"x-request-id", "date", "ratelimit", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"}
"""Headers that say when somebody asked, and how often."""


class Line(Connection):
    """A connection on which the answer to a HEAD, and one that says that nothing changed, have no body."""

    def reply_to(self, method: str) -> Reply:
        """The next reply, to a request of this method."""
        status, headers = self._head()
        if method == "HEAD" or status == 304:
            return Reply(status, headers, b"")
        named = {name.lower(): value for name, value in headers}
        if named.get("transfer-encoding") == "chunked":
            return Reply(status, headers, b"".join(self._chunks()))
        return Reply(status, headers, self._file.read(int(named["content-length"])))


def ask(url: str, route: Route, target: str, key: str | None, headers: Headers = ()) -> Reply:
    """One request on a connection of its own, with the body that its route wants."""
    body = good_body(route.method, target.partition("?")[0])
    data = None if body is None else json.dumps(body).encode()
    sent = [] if key is None else [("Authorization", f"Bearer {key}")]
    with Line(url) as line:
        line.send(request(route.method, target, [*sent, JSON_TYPE, *headers], data))
        return line.reply_to(route.method)


def appearance(reply: Reply) -> tuple[int, bytes, Pairs]:
    """All that two replies must have in common for nobody to tell them apart."""
    return reply.status, reply.body, [pair for pair in reply.headers if pair[0].lower() not in _TELLING]
