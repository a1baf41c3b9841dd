"""What endpoints answer, and when they are given up: certificates, deadlines, replies that are long or none."""

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from app.adapters.webhook_sender import READ_BYTES
from app.domain.webhook_sending import SendFailure, WebhookSender, WebhookSendError
from tests.certificates import Authority
from tests.dns_server import Answer as DnsAnswer
from tests.dns_server import DnsServer, Outcome
from tests.processes import free_port
from tests.webhook_receiver import Answer, Receiver
from tests.webhook_sending import GENEROUS, NAME, PUBLIC, Make, failure

ROOT = Path(__file__).parents[4]


def test_nobody_listens(sender: WebhookSender) -> None:
    assert failure(sender, f"https://{NAME}:{free_port()}") is SendFailure.CONNECT_FAILED


@pytest.mark.parametrize(
    ("hosts", "expired", "known"),
    [(["other.example.com"], False, True), (["127.0.0.2"], False, True), ([NAME], True, True), ([NAME], False, False)],
    ids=["another name", "the address alone", "expired", "signed by nobody"],
)
def test_a_certificate_that_is_wrong(
    sender: WebhookSender, authority: Authority, tmp_path: Path, hosts: list[str], expired: bool, known: bool
) -> None:
    signer = authority if known else Authority(tmp_path)
    with Receiver(PUBLIC, certificate=signer.issue(*hosts, expired=expired)) as receiver:
        assert failure(sender, receiver.url(host=NAME)) is SendFailure.TLS_FAILED
        assert receiver.requests == []


def test_an_endpoint_that_speaks_no_tls(sender: WebhookSender) -> None:
    with Receiver(PUBLIC) as receiver:
        assert failure(sender, f"https://{NAME}:{receiver.port}") is SendFailure.TLS_FAILED
        assert receiver.requests == []


SLOW = {
    "no answer": Answer(hang=True),
    "a late answer": Answer(delay=GENEROUS),
    "a head that drips": Answer(drip=0.05, headers={"X": "x" * 2_000}),
    "a body that drips": Answer(raw=b"HTTP/1.1 200 OK\r\n\r\n" + bytes(2_000), drip=0.05),
    "interim answers that drip": Answer(raw=b"HTTP/1.1 102 X\r\n\r\n" * 200, drip=0.05),
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_a_slow_endpoint_ends_at_the_deadline(make: Make, receiver: Receiver, url: str, answer: Answer) -> None:
    """Each byte comes well within the time; all together don't."""
    receiver.answer(answer)
    began = time.monotonic()
    assert failure(make(timeout=1.5), url) is SendFailure.TIMEOUT
    assert 1.5 <= time.monotonic() - began < GENEROUS


def test_an_endpoint_that_never_shakes_hands(make: Make) -> None:
    with socket.create_server((PUBLIC, 0)) as silent:
        url = f"https://{NAME}:{silent.getsockname()[1]}"
        assert failure(make(timeout=0.5), url) is SendFailure.TIMEOUT


def test_a_body_that_is_read_in_sips(make: Make) -> None:
    """Each sip comes well within the time; all together don't."""
    ended = threading.Event()

    def sip(server: socket.socket) -> None:
        with server.accept()[0] as client, suppress(OSError):
            while not ended.wait(0.05) and client.recv(100_000):
                continue

    with socket.create_server((PUBLIC, 0)) as server:
        threading.Thread(target=sip, args=(server,), daemon=True).start()
        url, began = f"http://{PUBLIC}:{server.getsockname()[1]}", time.monotonic()
        with pytest.raises(WebhookSendError) as caught:
            make(timeout=1).send(url, {}, bytes(100_000_000))
        ended.set()
    assert caught.value.code is SendFailure.TIMEOUT
    assert time.monotonic() - began < GENEROUS


@pytest.fixture
def deaf(receiver: Receiver) -> Iterator[str]:
    """An address where connecting on the receiver's port takes for ever: its queue is full."""
    address = "127.0.0.3"
    with ExitStack() as stack:
        stack.enter_context(socket.create_server((address, receiver.port), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((address, receiver.port))
        yield address


def test_an_address_that_never_connects(make: Make, dns: DnsServer, deaf: str, url: str) -> None:
    dns.answer(NAME, [deaf])
    assert failure(make(timeout=1, networks=deaf), url) is SendFailure.TIMEOUT


def test_an_address_that_never_connects_leaves_time_for_the_next(
    make: Make, dns: DnsServer, receiver: Receiver, deaf: str, url: str
) -> None:
    dns.answer(NAME, [deaf, PUBLIC])
    assert make(timeout=4, networks=f"{deaf},{PUBLIC}").send(url, {}, b"").status == 200
    assert receiver.connections == 1


def test_a_huge_reply_is_read_up_to_a_limit(sender: WebhookSender, receiver: Receiver, url: str) -> None:
    receiver.answer(Answer(201, body=b"x" * 2_000, zeros=1_000_000_000))
    reply = sender.send(url, {}, b"")
    assert (reply.status, reply.body) == (201, b"x" * 1_024)
    # The rest is what the two sockets hold.
    assert receiver.sent < 100_000_000


@pytest.mark.parametrize("size", [READ_BYTES - 1_000, READ_BYTES, READ_BYTES + 1])
@pytest.mark.parametrize("framing", ["Content-Length: {}", "Transfer-Encoding: chunked", "X: y"])
def test_a_long_reply_is_no_error(sender: WebhookSender, receiver: Receiver, url: str, size: int, framing: str) -> None:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, bytes(size)) if "chunked" in framing else bytes(size)
    receiver.answer(Answer(raw=f"HTTP/1.1 200 OK\r\n{framing.format(size)}\r\n\r\n".encode() + body))
    assert sender.send(url, {}, b"").body == bytes(1_024)


def test_a_compressed_reply_stays_compressed(sender: WebhookSender, receiver: Receiver, url: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    receiver.answer(Answer(headers={"Content-Encoding": "gzip"}, body=bomb))
    assert sender.send(url, {}, b"").body == bomb[:1_024]


BROKEN = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nA: ",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
    "interim answers without end": b"HTTP/1.1 103 X\r\n\r\n" * 20_000,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_reply(sender: WebhookSender, receiver: Receiver, url: str, data: bytes) -> None:
    receiver.answer(Answer(raw=data))
    assert failure(sender, url) is SendFailure.INVALID_REPLY


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 5_000, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("\u00b2", None),
    ],
)
def test_how_long_the_endpoint_asks_to_wait(
    sender: WebhookSender, receiver: Receiver, url: str, header: str, seconds: float | None
) -> None:
    head = f"HTTP/1.1 503 X\r\nretry-AFTER: {header}\r\nContent-Length: 0\r\n\r\n"
    receiver.answer(Answer(raw=head.encode("latin-1")))
    assert sender.send(url, {}, b"").retry_after == seconds


def test_a_date_to_wait_for(sender: WebhookSender, receiver: Receiver, url: str) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    receiver.answer(Answer(503, {"Retry-After": later}))
    wait = sender.send(url, {}, b"").retry_after
    assert wait is not None
    assert 3_500 < wait <= 3_601


@pytest.mark.parametrize(
    ("answers", "answer", "timeout", "outcome"),
    [
        ([PUBLIC], Answer(delay=1), GENEROUS, "200"),
        ([PUBLIC], Answer(drip=0.05, headers={"X": "x" * 2_000}), 1.5, "timeout"),
        (Outcome.SILENT, Answer(), GENEROUS, "dns_failed"),
    ],
    ids=["a slow endpoint", "an endpoint that drips", "a silent DNS"],
)
def test_greenlets_don_t_wait_for_each_other(
    receiver: Receiver, dns: DnsServer, authority: Authority, url: str, answers: DnsAnswer, answer: Answer,
    timeout: float, outcome: str,
) -> None:  # fmt: skip
    dns.answer(NAME, answers)
    receiver.answer(answer)
    script = Path(__file__).parent / "gevent_webhooks.py"
    done = subprocess.run(
        [sys.executable, script, dns.address, authority.ca_file, str(timeout), url],
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["outcomes"], seen["threads"]) == ({outcome: 20}, 0)
    # One that blocked would hold all others for as long as it waits.
    assert seen["gap"] < 0.9
