"""Clients that never come to an end: they are closed or refused in time, and nobody else waits for them."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.bad_inputs.conftest import running
from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect
from tests.acceptance.bad_inputs.raw import Connection, ask, request
from tests.acceptance.bad_inputs.site import CANARY, JSON_TYPE, Site
from tests.processes import wait_until

PATIENCE = 30.0
INCOMPLETE = (400, "invalid_request_error", "incomplete_body", None)
LONG = ("Content-Length", "1000000")
CHUNKED = ("Transfer-Encoding", "chunked")
CHUNK = b"10000\r\n" + b" " * 65_536 + b"\r\n"


@pytest.fixture(scope="module")
def hasty(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, quiet_valkey: str, named_models: Path
) -> Iterator[Site]:
    """An API that gives two seconds where it usually gives 75."""
    folder = tmp_path_factory.mktemp("hasty")
    settings = {"GUNICORN_CMD_ARGS": "--keep-alive 2"}
    with running(folder, postgres, quiet_valkey, named_models, **settings) as made:
        yield made


@pytest.fixture
def connect(hasty: Site) -> Iterator[Callable[[bytes], Connection]]:
    """Opens a connection and sends something."""
    with ExitStack() as stack:

        def opened(start: bytes) -> Connection:
            connection = stack.enter_context(Connection(hasty.url))
            connection.send(start)
            return connection

        yield opened


def drip(drops: Iterable[tuple[Connection, bytes]]) -> None:
    """Send each its drop again and again, until the server has something to say to all of them."""
    waiting = dict(drops)

    def all_answered() -> bool:
        for connection, drop in list(waiting.items()):
            if not _takes(connection, drop):
                del waiting[connection]
        return not waiting

    wait_until(all_answered, PATIENCE, "the server has enough of them")


def _takes(connection: Connection, drop: bytes) -> bool:
    if connection.answered():
        return False
    try:
        connection.send(drop)
    except OSError:
        return False
    return True


def closed(connection: Connection) -> bool:
    """Whether the server has nothing more to say. A drop that came after its end is answered with a reset."""
    try:
        return connection.at_end()
    except ConnectionResetError:
        return True


def post(site: Site, dialect: Dialect, *headers: tuple[str, str]) -> bytes:
    """The head of a create."""
    return request("POST", dialect.path, [("Authorization", f"Bearer {site.key}"), JSON_TYPE, *headers])


def test_a_slow_head_is_closed(connect: Callable[[bytes], Connection]) -> None:
    starts = [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nX-A: b\r\nX-"]
    connections = [(connect(start), drop) for start in starts for drop in (b"", b"a")]
    drip(connections)
    assert all(closed(connection) for connection, _ in connections)


def test_a_slow_body_is_refused(hasty: Site, connect: Callable[[bytes], Connection]) -> None:
    before = hasty.count()
    connections = [
        (connect(post(hasty, dialect, header)), drop)
        for dialect in (FREDDY, OPENAI)
        for header, drop in [
            (LONG, b""),
            (LONG, b" "),
            (CHUNKED, b""),
            (CHUNKED, b"0"),
            (CHUNKED, b"1\r\n \r\n"),
            # Never slow for long, and yet not fast enough.
            (CHUNKED, b"4000\r\n" + b" " * 16_384 + b"\r\n"),
        ]
    ]
    drip(connections)
    for connection, _ in connections:
        reply = connection.reply()
        assert reply.error == INCOMPLETE
        assert reply.header("connection") == "close"
        assert closed(connection)
    assert hasty.count() == before


def test_a_slow_body_that_nobody_wants_is_closed(connect: Callable[[bytes], Connection]) -> None:
    connections = [
        (connect(request("POST", target, [("X-API-Key", CANARY), header])), drop)
        for target in (OPENAI.path, "/nowhere")
        for header, drop in [(LONG, b""), (LONG, b" "), (CHUNKED, b"1\r\n \r\n")]
    ]
    assert {connection.reply().status for connection, _ in connections} == {401, 404}
    drip(connections)
    assert all(closed(connection) for connection, _ in connections)


def pour(connection: Connection) -> None:
    """Send without end, as fast as it goes; OSError once the server has had enough."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connection.send(CHUNK)


@pytest.mark.parametrize("target", ["/nowhere", OPENAI.path])
def test_a_flood_comes_to_an_end(hasty: Site, connect: Callable[[bytes], Connection], target: str) -> None:
    head = request("POST", target, [("Authorization", f"Bearer {hasty.key}"), JSON_TYPE, CHUNKED])
    with pytest.raises(OSError, match=r"reset|pipe"):
        pour(connect(head))


@contextmanager
def flood(site: Site, target: str) -> Iterator[None]:
    """Send a body without end, as fast as it goes, while the block runs."""
    done = threading.Event()

    def send(connection: Connection) -> None:
        while not done.is_set():
            connection.send(CHUNK)

    with Connection(site.url) as connection:
        connection.send(request("POST", target, [("Authorization", f"Bearer {site.key}"), JSON_TYPE, CHUNKED]))
        thread = threading.Thread(target=send, args=[connection])
        thread.start()
        yield
        done.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize("target", ["/nowhere", OPENAI.path])
def test_nobody_waits_for_a_flood(site: Site, target: str) -> None:
    with flood(site, target):
        assert [ask(site.url, request("GET", "/healthz")).status for _ in range(20)] == [200] * 20


def test_nobody_waits_for_the_slow(site: Site) -> None:
    starts = [b"GET / HTTP/1.1\r\n", post(site, FREDDY, LONG), post(site, OPENAI, CHUNKED) + b"10000\r\n"]
    with ExitStack() as stack:
        for start in starts * 100:
            stack.enter_context(Connection(site.url)).send(start)
        assert ask(site.url, request("GET", "/healthz")).status == 200
        assert site.create(FREDDY)
