"""Requests that are no HTTP, bodies whose length is in doubt or too large, and what comes after them."""

import json
from collections.abc import Sequence

import pytest

from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect, both
from tests.acceptance.bad_inputs.raw import Connection, Reply, request
from tests.acceptance.bad_inputs.site import CANARY, JSON_TYPE, Error, Site

IRE = "invalid_request_error"
MALFORMED = (400, IRE, "invalid_http", None)
INCOMPLETE = (400, IRE, "incomplete_body", None)
TOO_LARGE = (413, IRE, "request_too_large", None)
CAP = 10 * 2**20

CHUNKED = ("Transfer-Encoding", "chunked")


def headers(site: Site, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {site.key}"), JSON_TYPE, *more]


def post(site: Site, dialect: Dialect, *more: tuple[str, str], body: bytes = b"") -> bytes:
    """The head of a create as it is said here, and what follows it."""
    return request("POST", dialect.path, headers(site, *more)) + body


def good(dialect: Dialect) -> bytes:
    return json.dumps(dialect.body(CANARY)).encode()


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def last_words(site: Site, data: bytes, *, ended: bool = False) -> Reply:
    """The one reply to all this, after which the server closes; nothing may come of it."""
    before = site.stored()
    with Connection(site.url) as connection:
        connection.send(data)
        if ended:
            connection.end()
        reply = connection.reply()
        assert connection.at_end(), reply
    assert site.stored() == before
    assert CANARY not in reply.text
    return reply


# What is said of the length, and what the body is then.
LENGTHS: dict[str, tuple[Sequence[tuple[str, str]], bytes]] = {
    "with Transfer-Encoding": ([("Content-Length", "2"), CHUNKED], chunks(b"{}")),
    "after Transfer-Encoding": ([CHUNKED, ("Content-Length", "2")], chunks(b"{}")),
    "that is no number": ([("Content-Length", CANARY)], b"{}"),
    "that is negative": ([("Content-Length", "-1")], b"{}"),
    "with a sign": ([("Content-Length", "+2")], b"{}"),
    "in hex": ([("Content-Length", "0x2")], b"{}"),
    "with a fraction": ([("Content-Length", "2.0")], b"{}"),
    "that is empty": ([("Content-Length", "")], b"{}"),
    "in digits of another script": ([("Content-Length", "²")], b"{}"),
    "of 5,000 digits": ([("Content-Length", "9" * 5_000)], b"{}"),
    "given twice": ([("Content-Length", "2"), ("Content-Length", "2")], b"{}"),
    "given twice, differently": ([("Content-Length", "2"), ("Content-Length", "3")], b"{} "),
    "given twice in one line": ([("Content-Length", "2, 2")], b"{}"),
    "chunked twice": ([CHUNKED, CHUNKED], chunks(b"{}")),
    "chunked, then something else": ([("Transfer-Encoding", "chunked, gzip")], chunks(b"{}")),
    "not chunked": ([("Transfer-Encoding", "gzip")], b"{}"),
    "in an unknown coding": ([("Transfer-Encoding", CANARY)], b"{}"),
    "xchunked": ([("Transfer-Encoding", "xchunked")], chunks(b"{}")),
    "chunked after another space": ([("Transfer-Encoding", "\x0bchunked")], chunks(b"{}")),
    "chunked in quotes": ([("Transfer-Encoding", '"chunked"')], chunks(b"{}")),
    "chunked after nothing": ([("Transfer-Encoding", ",chunked")], chunks(b"{}")),
    "chunked with a parameter": ([("Transfer-Encoding", "chunked;q=1")], chunks(b"{}")),
    "chunked in capitals, with Content-Length": ([("Transfer-Encoding", "CHUNKED"), ("Content-Length", "2")], b"{}"),
    "identity, with Content-Length": ([("Transfer-Encoding", "identity"), ("Content-Length", "2")], b"{}"),
    "given twice in two cases": ([("content-length", "2"), ("CONTENT-LENGTH", "4")], b"{}"),
    "hidden after a bare CR": ([("X", "a\rTransfer-Encoding: chunked")], chunks(b"{}")),
    "hidden after a bare LF": ([("X", "a\nTransfer-Encoding: chunked"), ("Content-Length", "2")], b"{}"),
}


@both
@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_in_doubt(site: Site, dialect: Dialect, name: str) -> None:
    said, body = LENGTHS[name]
    smuggled = site.request("POST", dialect.path, good(dialect))
    reply = last_words(site, post(site, dialect, *said, body=body + smuggled))
    assert reply.error == MALFORMED
    assert reply.header("connection") == "close"


CHUNKS = {
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "a size that is no number": f"{CANARY}\r\n{{}}\r\n0\r\n\r\n".encode(),
    "a negative size": b"-2\r\n{}\r\n0\r\n\r\n",
    "a size in Python's hex": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size of 20,000 digits": b"0" * 20_000 + b"2\r\n{}\r\n0\r\n\r\n",
    "more than the size": b"1\r\n{}\r\n0\r\n\r\n",
    "a bad extension": b"2;\x01\r\n{}\r\n0\r\n\r\n",
    "an extension that ends in LF": b"2;a\n{}\r\n0\r\n\r\n",
    "an extension with a line in quotes": b'2;a="\n"\r\n{}\r\n0\r\n\r\n',
    "an endless extension": b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n",
    "an underscore in the size": b"0_2\r\n{}\r\n0\r\n\r\n",
    "a space after the size": b"2 \r\n{}\r\n0\r\n\r\n",
    "something else than CR LF after the data": b"2\r\n{}XX0\r\n\r\n",
    "a length after the end": b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",
    "a key after the end": f"2\r\n{{}}\r\n0\r\nAuthorization: {CANARY}\r\n\r\n".encode(),
    "a bad line after the end": f"2\r\n{{}}\r\n0\r\n{CANARY}\r\n\r\n".encode(),
}


@both
@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_that_are_none(site: Site, dialect: Dialect, name: str) -> None:
    reply = last_words(site, post(site, dialect, CHUNKED, body=CHUNKS[name]))
    assert reply.error == INCOMPLETE
    assert reply.header("connection") == "close"


@both
def test_a_body_that_breaks_off(site: Site, dialect: Dialect) -> None:
    body = good(dialect)
    too_short: list[tuple[tuple[str, str], bytes]] = [
        (("Content-Length", str(len(body) + 1)), body),
        (("Content-Length", str(len(body))), body[:-1]),
        (CHUNKED, chunks(body)[: -len("0\r\n\r\n")]),
        (CHUNKED, chunks(body)[: -len("\r\n")]),
        (CHUNKED, b"%x\r\n%s" % (len(body) + 1, body)),
        # Lines of chunks that end in LF are not taken for such lines: it waits for the CR.
        (CHUNKED, b"%x\n%s\n0\n\n" % (len(body), body)),
    ]
    for header, sent in too_short:
        assert last_words(site, post(site, dialect, header, body=sent), ended=True).error == INCOMPLETE, header


NO_HTTP: dict[str, tuple[bytes, Error]] = {
    "no request line": (f"{CANARY}\r\n\r\n".encode(), MALFORMED),
    "NUL in the path": (f"GET /v1/responses/{CANARY}\0 HTTP/1.1\r\n\r\n".encode(), MALFORMED),
    "a path that is not ASCII": (f"GET /v1/responses/{CANARY}é HTTP/1.1\r\n\r\n".encode(), MALFORMED),
    "a space in the path": (f"GET /v1/ {CANARY} HTTP/1.1\r\n\r\n".encode(), MALFORMED),
    "another protocol": (f"GET / {CANARY}/1.1\r\n\r\n".encode(), MALFORMED),
    "HTTP/2.0": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", MALFORMED),
    "a method in small letters": (f"{CANARY} / HTTP/1.1\r\n\r\n".encode(), MALFORMED),
    "lines that end in LF": (f"GET /{CANARY} HTTP/1.1\nHost: a\n\n".encode(), MALFORMED),
    "a header without a colon": (f"GET / HTTP/1.1\r\n{CANARY}\r\n\r\n".encode(), MALFORMED),
    "a space before the colon": (f"GET / HTTP/1.1\r\n{CANARY} : a\r\n\r\n".encode(), MALFORMED),
    "a header over two lines": (f"GET / HTTP/1.1\r\nX: a\r\n {CANARY}\r\n\r\n".encode(), MALFORMED),
    "NUL in a header": (f"GET / HTTP/1.1\r\nX: {CANARY}\0\r\n\r\n".encode(), MALFORMED),
    "an expectation": (f"GET / HTTP/1.1\r\nExpect: {CANARY}\r\n\r\n".encode(), MALFORMED),
    "two Content-Types": (b"GET / HTTP/1.1\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n", MALFORMED),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", MALFORMED),
    "a proxy's preface": (b"PROXY TCP4 127.0.0.9 127.0.0.1 1 2\r\n", MALFORMED),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", MALFORMED),
    "a long path": (f"GET /{CANARY * 1_000} HTTP/1.1\r\n\r\n".encode(), (414, IRE, "uri_too_long", None)),
    "a long header": (f"GET / HTTP/1.1\r\nX: {CANARY * 1_000}\r\n\r\n".encode(), (431, IRE, "headers_too_large", None)),
    "many headers": (
        b"GET / HTTP/1.1\r\n" + f"X: {CANARY}\r\n".encode() * 200 + b"\r\n",
        (431, IRE, "headers_too_large", None),
    ),
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http(site: Site, name: str) -> None:
    data, expected = NO_HTTP[name]
    smuggled = site.request("POST", OPENAI.path, good(OPENAI))
    assert last_words(site, data + smuggled).error == expected


def test_a_client_may_not_move_the_api(site: Site) -> None:
    for name in ("SCRIPT_NAME", "Script-Name", "PATH_INFO", "X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL"):
        reply = site.ask("GET", FREDDY.path, headers=[(name, f"/{CANARY}"), ("X-HTTP-Method-Override", "DELETE")])
        assert (reply.status, reply.json["object"]) == (200, "list"), name


def test_a_header_with_an_underscore_is_none(site: Site) -> None:
    # WSGI has one name for both, so that one could pass a proxy which looks at the other.
    key = ("X-API-Key", site.key)
    said: list[tuple[list[tuple[str, str]], int]] = [
        ([("X_API_Key", site.key)], 401),
        ([("X_API_Key", CANARY), key], 200),
        ([key, ("X_API_Key", CANARY)], 200),
        ([key, ("AUTHORIZATION_", CANARY), ("Transfer_Encoding", "chunked"), ("Content_Length", "5")], 200),
    ]
    for given, status in said:
        data = request("GET", "/v1/models", given) + request("GET", "/healthz")
        with Connection(site.url) as connection:
            connection.send(data)
            assert connection.reply().status == status, given
            assert connection.reply().json == {"status": "ok"}, given


def test_nothing_comes_of_what_a_proxy_might_say(site: Site) -> None:
    """Neither an address nor a scheme is taken from a client, who could say it as well."""
    told = {
        "X-Forwarded-For": CANARY,
        "X-Forwarded-Host": f"{CANARY}.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Protocol": "http",
        "X-Forwarded-Ssl": "on",
        "Forwarded": f"for={CANARY};host={CANARY}.example;proto=https",
        "X-Real-Ip": CANARY,
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAAQAAP__",
        "Connection": "Upgrade, HTTP2-Settings",
    }
    plain = site.ask("GET", "/v1/models")
    reply = site.ask("GET", "/v1/models", headers=list(told.items()))
    assert (reply.status, reply.body) == (200, plain.body)
    assert CANARY not in reply.text


def test_http_1_0(site: Site) -> None:
    """It is answered, and the connection is closed unless the client asked for the other."""
    one = b"GET /healthz HTTP/1.0\r\nX-A: b\r\n"
    for data, replies in [(one + b"\r\n", 1), (one + b"Connection: keep-alive\r\n\r\n", 2)]:
        with Connection(site.url) as connection:
            connection.send(data + one + b"\r\n")
            answered = connection.rest()
            assert answered.count(b"HTTP/1.0 200 OK\r\n") == replies
            assert answered.count(b'{"status":"ok"}') == replies


def test_a_stream_in_http_1_0_ends_with_its_connection(site: Site) -> None:
    """HTTP/1.0 knows no chunks, so nothing may follow a body without a length."""
    job_id = site.create_stream(OPENAI)
    site.complete(job_id)
    head = f"GET {OPENAI.path}/{job_id}?stream=true HTTP/1.0\r\nConnection: keep-alive\r\nX-API-Key: {site.key}\r\n\r\n"
    with Connection(site.url) as connection:
        connection.send(head.encode())
        start, _, body = connection.rest().partition(b"\r\n\r\n")
    assert b"Connection: close" in start
    assert b"Transfer-Encoding" not in start
    assert body.startswith(b"event: response.created\n")
    assert body.endswith(b"data: [DONE]\n\n")


@both
def test_a_body_over_the_cap(site: Site, dialect: Dialect) -> None:
    # It is not waited for.
    assert site.refuses(post(site, dialect, ("Content-Length", str(2 * CAP)))) == TOO_LARGE
    over = good(dialect).ljust(CAP + 1)
    assert site.refuses(post(site, dialect, ("Content-Length", str(len(over))), body=over)) == TOO_LARGE
    assert site.refuses(post(site, dialect, CHUNKED, body=chunks(over[:CAP], over[CAP:]))) == TOO_LARGE
    assert site.refuses(post(site, dialect, CHUNKED, body=chunks(over, over))) == TOO_LARGE


def test_a_body_of_exactly_the_cap(site: Site) -> None:
    body = good(OPENAI).ljust(CAP)
    assert site.ask("POST", OPENAI.path, body).status == 200
    with Connection(site.url) as connection:
        connection.send(site.request("POST", OPENAI.path, body, [("Expect", "100-continue")]))
        assert [connection.reply().status for _ in range(2)] == [100, 200]


@both
def test_a_connection_goes_on_after_a_refusal(site: Site, dialect: Dialect) -> None:
    over = b" " * (CAP + 1)
    refused = {
        "a body that is no JSON": (site.request("POST", dialect.path, f"{CANARY}".encode()), 400),
        "a wrong key": (request("POST", dialect.path, [("X-API-Key", CANARY), JSON_TYPE], good(dialect)), 401),
        "no media type": (request("POST", dialect.path, headers(site)[:1], good(dialect)), 415),
        "nowhere": (site.request("POST", f"/{CANARY}", good(dialect)), 404),
        "a wrong method": (site.request("PUT", dialect.path, good(dialect)), 405),
        "a body over the cap": (post(site, dialect, ("Content-Length", str(len(over))), body=over), 413),
        "a body on a GET": (site.request("GET", f"{dialect.path}/x", good(dialect)), 404),
    }
    for name, (bad, status) in refused.items():
        before = site.count()
        with Connection(site.url) as connection:
            connection.send(bad + site.request("POST", dialect.path, dialect.body()) + site.request("GET", "/healthz"))
            assert connection.reply().status == status, name
            # The next one is read where it begins, and as what it is.
            assert connection.reply().json["status"] == "queued", name
            assert connection.reply().json == {"status": "ok"}, name
        assert site.count() == before + 1, name
