"""The TCP proxy of the fault harness: what it lets through, and what it does to connections when it is told to."""

import hashlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy
from tests.integration.faults.echo import EchoServer
from tests.processes import free_port, wait_until

PATIENCE = 15.0
SILENCE = 0.2
"""Seconds in which what is held back must not come."""
ENDLESS = 64 * 2**20
"""More than all buffers on the way hold."""


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with EchoServer() as made:
        yield made


@pytest.fixture
def proxy(server: EchoServer) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", server.port) as made:
        yield made


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    """A connection that has been used."""
    with connect(proxy) as made:
        assert ask(made, b"hello") == b"hello"
        yield made


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)


def ask(client: socket.socket, data: bytes) -> bytes:
    """Send it, and read as many bytes."""
    client.sendall(data)
    return read(client, len(data))


def read(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (data := client.recv(size - len(found))):
        found += data
    return found


def is_silent(client: socket.socket) -> bool:
    client.settimeout(SILENCE)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(PATIENCE)
    return False


def flood(client: socket.socket) -> int:
    """Send until nothing more is taken for a second; return how many bytes were."""
    client.settimeout(1)
    sent = 0
    while sent < ENDLESS:
        try:
            sent += client.send(b"x" * 2**20)
        except TimeoutError:
            return sent
    return sent


def reset(connection: socket.socket) -> None:
    """Close it as one that was killed with bytes unread."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_bytes_go_through_unchanged_in_both_directions(proxy: Proxy) -> None:
    sent = random.Random(1).randbytes(8 * 2**20)
    with connect(proxy) as client:
        threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
        digest = hashlib.sha256(read(client, len(sent))).digest()
    assert digest == hashlib.sha256(sent).digest()
    assert (proxy.counters.to_server, proxy.counters.to_client) == (len(sent), len(sent))


def test_many_connections_do_not_mix(proxy: Proxy) -> None:
    clients = [connect(proxy) for _ in range(50)]
    for number, client in enumerate(clients):
        client.sendall(f"{number:08}".encode())
    assert [int(read(client, 8)) for client in clients] == list(range(50))
    assert (proxy.counters.connections, proxy.counters.open) == (50, 50)
    for client in clients:
        client.close()
    wait_until(lambda: proxy.counters.open == 0, PATIENCE, "all closed")


def test_a_client_that_has_said_all_still_gets_its_answer(server: EchoServer, client: socket.socket) -> None:
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert read(client, 4) == b"last"
    assert client.recv(1) == b""
    assert server.ends == ["closed"]


def test_a_server_s_reset_reaches_its_client() -> None:
    with EchoServer(greedy=False) as server, Proxy("127.0.0.1", server.port) as proxy, connect(proxy) as client:
        wait_until(lambda: server.connections, PATIENCE, "the connection has come")
        reset(server.connections[0])
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_client_s_reset_reaches_its_server(server: EchoServer, client: socket.socket) -> None:
    reset(client)
    wait_until(lambda: server.ends == ["reset"], PATIENCE, "the server sees it")


def test_a_delay_counts_in_each_direction(proxy: Proxy, client: socket.socket) -> None:
    proxy.delay(0.15)
    started_at = time.monotonic()
    assert ask(client, b"slow") == b"slow"
    assert time.monotonic() - started_at >= 0.3


def test_the_end_of_a_delay_lets_go_at_once(proxy: Proxy, client: socket.socket) -> None:
    proxy.delay(600)
    client.sendall(b"slow")
    assert is_silent(client)
    proxy.pass_through()
    assert read(client, 4) == b"slow"


def test_a_reset_ends_what_is_open_and_what_comes(server: EchoServer, proxy: Proxy, client: socket.socket) -> None:
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    wait_until(lambda: server.ends == ["reset"], PATIENCE, "the server sees it too")
    with pytest.raises(ConnectionResetError), connect(proxy) as late:
        late.recv(1)
    assert len(server.connections) == 1
    proxy.pass_through()
    with connect(proxy) as healed:
        assert ask(healed, b"again") == b"again"


def test_a_half_open_link_holds_everything_and_loses_nothing(
    server: EchoServer, proxy: Proxy, client: socket.socket
) -> None:
    proxy.half_open()
    client.sendall(b"held")
    server.connections[0].sendall(b"reply")
    with connect(proxy) as late:
        late.sendall(b"late")
        assert is_silent(client)
        assert is_silent(late)
        assert server.received == b"hello"
        assert len(server.connections) == 1
        proxy.pass_through()
        assert read(late, 4) == b"late"
    assert read(client, 9) == b"replyheld"


def test_a_half_open_link_hides_a_client_that_has_gone(server: EchoServer, proxy: Proxy, client: socket.socket) -> None:
    proxy.half_open()
    reset(client)
    with connect(proxy) as late:
        assert is_silent(late)
    assert server.ends == []
    proxy.pass_through()
    wait_until(lambda: "reset" in server.ends, PATIENCE, "the server sees it afterwards")


def test_swallowed_replies_do_not_come_back_later(server: EchoServer, proxy: Proxy, client: socket.socket) -> None:
    proxy.swallow_replies()
    client.sendall(b"lost")
    wait_until(lambda: server.received == b"hellolost", PATIENCE, "the request went through")
    assert is_silent(client)
    with connect(proxy) as idle:
        proxy.pass_through()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert ask(idle, b"whole") == b"whole"


def test_the_next_reply_alone_is_swallowed(server: EchoServer, proxy: Proxy, client: socket.socket) -> None:
    proxy.swallow_next_reply(b"COMMIT")
    with connect(proxy) as other:
        assert ask(other, b"SELECT") == b"SELECT"
        assert ask(client, b"first COM") == b"first COM"
        assert proxy.counters.swallowed == 0
        client.sendall(b"MIT")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert proxy.counters.swallowed == 1
        assert b"COMMIT" in server.received.replace(b"SELECT", b"")
        assert ask(other, b"COMMIT") == b"COMMIT"


def test_any_next_reply_is_swallowed_if_no_request_is_named(proxy: Proxy, client: socket.socket) -> None:
    proxy.swallow_next_reply()
    client.sendall(b"anything")
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert proxy.counters.swallowed == 1


def test_a_trap_is_disarmed_by_the_next_control(proxy: Proxy, client: socket.socket) -> None:
    proxy.swallow_next_reply(b"COMMIT")
    proxy.pass_through()
    assert ask(client, b"COMMIT") == b"COMMIT"


def test_a_trap_that_a_request_has_sprung_is_disarmed_too() -> None:
    with EchoServer(greedy=False) as server, Proxy("127.0.0.1", server.port) as proxy, connect(proxy) as client:
        proxy.swallow_next_reply(b"COMMIT")
        client.sendall(b"COMMIT")
        wait_until(lambda: server.connections, PATIENCE, "the connection has come")
        assert read(server.connections[0], 6) == b"COMMIT"
        proxy.pass_through()
        server.connections[0].sendall(b"done")
        assert read(client, 4) == b"done"


def test_a_reply_is_cut_at_a_byte(proxy: Proxy, client: socket.socket) -> None:
    proxy.cut_after(10)
    assert ask(client, b"1234567") == b"1234567"
    client.sendall(b"890 and more")
    assert read(client, 3) == b"890"
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_throttled_link_is_slow_until_it_is_freed(proxy: Proxy, client: socket.socket) -> None:
    proxy.throttle(20_000)
    started_at = time.monotonic()
    sent = random.Random(1).randbytes(6_000)
    before = proxy.counters.to_server
    client.sendall(sent[:3_000])
    wait_until(lambda: proxy.counters.to_server > before, PATIENCE, "the first portion has gone")
    client.sendall(sent[3_000:])
    assert read(client, len(sent)) == sent
    # The first portion goes at once, and reads before the last is written.
    assert time.monotonic() - started_at >= 0.2
    proxy.throttle(1)
    client.sendall(b"y" * 5_000)
    proxy.pass_through()
    assert read(client, 5_000) == b"y" * 5_000


def test_a_server_that_is_down_looks_down(server: EchoServer) -> None:
    port = free_port()
    with Proxy("127.0.0.1", port) as proxy:
        with pytest.raises(ConnectionResetError), connect(proxy) as client:
            client.recv(1)
        with EchoServer(port), connect(proxy) as client:
            assert ask(client, b"back") == b"back"


def test_a_reader_that_does_not_read_stops_the_sender() -> None:
    with EchoServer(greedy=False) as server, Proxy("127.0.0.1", server.port) as proxy, connect(proxy) as client:
        assert flood(client) < ENDLESS


def test_what_is_held_back_is_bounded(proxy: Proxy, client: socket.socket) -> None:
    proxy.half_open()
    assert flood(client) < ENDLESS


def test_its_end_resets_what_is_open_and_frees_its_port(server: EchoServer) -> None:
    threads = threading.active_count()
    with Proxy("127.0.0.1", server.port) as proxy:
        proxy.half_open()
        client = connect(proxy)
    with client, pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert threading.active_count() <= threads
