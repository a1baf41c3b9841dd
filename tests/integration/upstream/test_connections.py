"""The mock's HTTP: keep-alive, odd requests, and thousands of open connections."""

import asyncio
import json
import socket

import pytest

from tests.upstream.client import MockUpstream

DEADLINE = 20.0
CROWD = 1_000


def post(prompt: str) -> bytes:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}]}).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def read_reply(connection: socket.socket) -> bytes:
    """One reply with a Content-Length, head and body."""
    reply = b""
    while b"\r\n\r\n" not in reply:
        reply += connection.recv(65_536)
    head, _, body = reply.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def connect(upstream: MockUpstream) -> socket.socket:
    return socket.create_connection(("127.0.0.1", upstream.port), timeout=DEADLINE)


def test_a_connection_serves_many_calls(upstream: MockUpstream) -> None:
    with connect(upstream) as connection:
        for number in range(3):
            connection.sendall(post(f"call {number}"))
            assert f"echo: call {number}".encode() in read_reply(connection)


def test_a_request_may_come_in_parts(upstream: MockUpstream) -> None:
    request = post("in parts")
    with connect(upstream) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            connection.sendall(bytes([byte]))
        assert b"echo: in parts" in read_reply(connection)


def test_a_request_may_come_early(upstream: MockUpstream, mark: str) -> None:
    with connect(upstream) as connection:
        connection.sendall(post(f"first [[gate {mark}]]") + post("second"))
        upstream.wait_in_flight(mark, 1, DEADLINE)
        upstream.open_gate(mark)
        both = b""
        while b"echo: second" not in both:
            both += connection.recv(65_536)
    assert both.index(b"echo: first") < both.index(b"echo: second")


def test_a_request_asks_to_close(upstream: MockUpstream) -> None:
    with connect(upstream) as connection:
        connection.sendall(post("bye").replace(b"Host: x", b"Connection: close"))
        assert b"connection: close" in read_reply(connection)
        assert connection.recv(1) == b""


def test_expect_continue(upstream: MockUpstream) -> None:
    head, _, body = post("large").partition(b"\r\n\r\n")
    with connect(upstream) as connection:
        connection.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert b"echo: large" in read_reply(connection)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"DELETE /v1/models HTTP/1.1\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]", 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 3\r\n\r\n{no", 400),
        (b'POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 15\r\n\r\n{"messages":[]}', 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: -2\r\n\r\n", 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 17000000\r\n\r\n", 413),
        (b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
    ],
)
def test_odd_requests_get_an_error(upstream: MockUpstream, request_bytes: bytes, status: int) -> None:
    with connect(upstream) as connection:
        connection.sendall(request_bytes)
        reply = read_reply(connection)
    assert reply.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["message"]


async def _crowd(upstream: MockUpstream, gate: str) -> list[bytes]:
    async def call(number: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(post(f"{number} [[gate {gate}]]").replace(b"Host: x", b"Connection: close"))
        answer = await reader.read()
        writer.close()
        return answer

    calls = [asyncio.create_task(call(number)) for number in range(CROWD)]
    await asyncio.to_thread(upstream.wait_in_flight, gate, CROWD, DEADLINE)
    upstream.open_gate(gate)
    async with asyncio.timeout(DEADLINE):
        return await asyncio.gather(*calls)


def test_a_crowd_is_in_flight_at_once(upstream: MockUpstream, mark: str) -> None:
    answers = asyncio.run(_crowd(upstream, mark))
    assert [number for number, answer in enumerate(answers) if f"echo: {number}".encode() not in answer] == []
    assert upstream.stats().max_in_flight >= CROWD
    upstream.wait_in_flight(mark, 0, DEADLINE)
