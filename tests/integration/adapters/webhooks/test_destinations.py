"""Where webhooks go: to the endpoint that the DNS names at that moment, and never inside, whatever it says."""
# ruff: noqa: RUF001 - a digit that looks like another is one of the tricks

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.adapters.webhook_dns import LookupFailedError
from app.adapters.webhook_sender import MAX_CHECKS, HttpWebhookSender
from app.container import Container
from app.domain.errors import OverloadedError, UnavailableError
from app.domain.webhook_addresses import Address
from app.domain.webhook_sending import SendFailure, WebhookSender
from app.domain.webhook_urls import INVALID, NOT_ALLOWED
from app.settings import Settings
from tests.certificates import Authority
from tests.dns_server import Answer as DnsAnswer
from tests.dns_server import DnsServer, Outcome
from tests.webhook_receiver import Answer, Receiver
from tests.webhook_sending import GENEROUS, INSIDE, NAME, PUBLIC, Make, failure, refusal


def test_a_request_arrives_as_it_was_sent(sender: WebhookSender, receiver: Receiver, url: str) -> None:
    receiver.answer(Answer(202, body=b"thanks"))
    assert str(sender.check(url)) == url
    reply = sender.send(url, {"Webhook-Id": "evt_1", "Content-Type": "application/json"}, b'{"a": 1}')
    assert (reply.status, reply.body, reply.retry_after) == (202, b"thanks", None)
    assert 0 < reply.elapsed < GENEROUS
    received = receiver.requests[0]
    assert (received.method, received.path, received.body) == ("POST", "/hook?a=1", b'{"a": 1}')
    assert dict(received.headers) == {
        "host": f"{NAME}:{receiver.port}",
        "user-agent": "Simmer-Webhooks/1.0",
        "accept": "*/*",
        "content-length": "8",
        "connection": "close",
        "webhook-id": "evt_1",
        "content-type": "application/json",
    }


def test_the_settings_name_servers_networks_and_authorities(authority: Authority, dns: DnsServer, url: str) -> None:
    told = {"webhook_nameservers": dns.address, "webhook_allowed_networks": PUBLIC}
    settings = Settings.model_validate({**told, "webhook_ca_file": str(authority.ca_file)})
    assert Container(settings).webhook_sender.send(url, {}, b"").status == 200
    unknown = Container(Settings.model_validate(told)).webhook_sender
    assert failure(unknown, url) is SendFailure.TLS_FAILED


def test_a_literal_address_needs_no_dns(sender: WebhookSender, receiver: Receiver, dns: DnsServer) -> None:
    dns.answer(NAME, Outcome.SILENT)
    assert sender.send(receiver.url(), {}, b"").status == 200
    assert sender.check(receiver.url()).addresses


def test_each_request_has_a_connection_and_a_look_of_its_own(
    sender: WebhookSender, receiver: Receiver, dns: DnsServer, url: str
) -> None:
    for number in range(1, 4):
        sender.send(url, {}, b"")
        assert (receiver.connections, dns.asked(NAME)) == (number, 2 * number)


FORBIDDEN: list[DnsAnswer] = [
    [INSIDE],
    [PUBLIC, INSIDE],
    [INSIDE, PUBLIC],
    [PUBLIC, "::1"],
    [PUBLIC, f"::ffff:{INSIDE}"],
    [f"::ffff:{PUBLIC}"],
    [f"64:ff9b::{INSIDE}"],
    ["2002:7f00:1::"],
    ["10.0.0.1"],
    ["169.254.169.254"],
    ["168.63.129.16"],
    ["100.64.0.1"],
    ["fd00:ec2::254"],
    ["0.0.0.0"],
    ["8.8.8.8", "192.168.0.1"],
    ["alias.example.com"],
]


@pytest.mark.parametrize("addresses", FORBIDDEN, ids=str)
def test_a_name_that_leads_inside(
    sender: WebhookSender, receiver: Receiver, dns: DnsServer, url: str, addresses: DnsAnswer
) -> None:
    dns.answer("alias.example.com", ["other.example.com"])
    dns.answer("other.example.com", [INSIDE])
    dns.answer(NAME, addresses)
    assert refusal(sender, url) == NOT_ALLOWED
    assert failure(sender, url) is SendFailure.URL_NOT_ALLOWED
    assert receiver.connections == 0


def test_a_chain_of_aliases_to_a_place_that_is_allowed(
    sender: WebhookSender, receiver: Receiver, dns: DnsServer, url: str
) -> None:
    dns.answer(NAME, ["alias.example.com"])
    dns.answer("alias.example.com", ["other.example.com"])
    dns.answer("other.example.com", [PUBLIC])
    sender.check(url)
    assert sender.send(url, {}, b"").status == 200
    assert receiver.connections == 1


def test_a_name_that_changes_its_mind_after_the_check(sender: WebhookSender, dns: DnsServer, url: str) -> None:
    dns.answer(NAME, [PUBLIC], [INSIDE])
    sender.check(url)
    assert failure(sender, url) is SendFailure.URL_NOT_ALLOWED


def test_a_name_that_changes_its_mind_at_each_question(
    sender: WebhookSender, receiver: Receiver, dns: DnsServer, url: str
) -> None:
    """Were there a second look between check and connection, it would lead inside."""
    dns.answer(NAME, [PUBLIC], [INSIDE], [PUBLIC], [INSIDE])
    for _ in range(2):
        assert sender.send(url, {}, b"").status == 200
        assert failure(sender, url) is SendFailure.URL_NOT_ALLOWED
    assert receiver.connections == 2


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "127.1", "１２７.0.0.1", "[::ffff:127.0.0.1]", "localhost"]
)
def test_a_url_that_leads_inside(sender: WebhookSender, receiver: Receiver, host: str) -> None:
    url = receiver.url(host=host)
    assert refusal(sender, url) == NOT_ALLOWED
    assert failure(sender, url) is SendFailure.URL_NOT_ALLOWED


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_replies(
    sender: WebhookSender, receiver: Receiver, inside: Receiver, url: str, status: int
) -> None:
    receiver.answer(Answer(status, {"Location": inside.url("/secret")}))
    assert sender.send(url, {}, b"").status == status
    assert (receiver.connections, inside.connections) == (1, 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxies_of_the_environment_are_ignored(
    make: Make, receiver: Receiver, url: str, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with Receiver(INSIDE) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            for variable in (name, name.upper()):
                monkeypatch.setenv(variable, proxy.url(""))
        with Receiver(PUBLIC) as plain:
            there = plain.url() if scheme == "http" else url
            assert make().send(there, {}, b"").status == 200
            assert (proxy.connections, receiver.connections + plain.connections) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "code", "sent"),
    [
        (Outcome.NXDOMAIN, INVALID, SendFailure.DNS_FAILED),
        ([], INVALID, SendFailure.DNS_FAILED),
        (Outcome.SERVFAIL, None, SendFailure.DNS_FAILED),
        (Outcome.SILENT, None, SendFailure.DNS_FAILED),
    ],
)
def test_a_name_without_an_address(
    make: Make, dns: DnsServer, url: str, answer: DnsAnswer, code: str | None, sent: SendFailure
) -> None:
    sender = make(timeout=1)
    dns.answer(NAME, answer)
    if code:
        assert refusal(sender, url) == code
    else:
        with pytest.raises(UnavailableError):
            sender.check(url)
    assert failure(sender, url) is sent


def test_a_dns_that_knows_no_aaaa(sender: WebhookSender, dns: DnsServer, url: str) -> None:
    dns.answer(NAME, Outcome.SERVFAIL, kinds=["AAAA"])
    assert sender.send(url, {}, b"").status == 200


def test_the_next_address_if_one_takes_no_connection(make: Make, dns: DnsServer, receiver: Receiver, url: str) -> None:
    dns.answer(NAME, ["127.0.0.3", PUBLIC])
    assert make(networks=f"{PUBLIC},127.0.0.3").send(url, {}, b"").status == 200
    assert receiver.connections == 1


def test_an_address_of_ipv6(make: Make, dns: DnsServer, authority: Authority) -> None:
    dns.answer(NAME, ["::1"])
    with Receiver("::1", certificate=authority.issue(NAME)) as receiver:
        assert make(networks="::1").send(receiver.url(host=NAME), {}, b"").status == 200


def test_localhost_is_reached_if_loopback_is_allowed(make: Make, dns: DnsServer) -> None:
    dns.answer("localhost", ["10.0.0.1"])
    with Receiver(INSIDE) as receiver:
        url = receiver.url(host="localhost")
        assert make(networks="127.0.0.0/8").send(url, {}, b"").status == 200
        assert failure(make(), url) is SendFailure.URL_NOT_ALLOWED
        assert receiver.connections == 1
    assert dns.asked("localhost") == 0


def test_localhost_means_only_the_addresses_that_are_allowed(make: Make) -> None:
    with Receiver(INSIDE) as receiver:
        assert failure(make(networks="::1"), receiver.url(host="localhost")) is SendFailure.CONNECT_FAILED
        assert receiver.connections == 0


@pytest.mark.parametrize("server", ["dns.example.com", "1.2.3", "1.2.3.4:x", "1.2.3.4:99999", "", "[::1"])
def test_a_dns_server_that_is_no_address(server: str) -> None:
    with pytest.raises(ValueError, match=r"^Write DNS servers as addresses"):
        HttpWebhookSender((), nameservers=[server])


@pytest.mark.parametrize("server", ["192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:53"])
def test_a_dns_server_that_is_one(server: str) -> None:
    HttpWebhookSender((), nameservers=[server])


def test_slow_names_take_few_places_and_nobody_waits_for_them(
    sender: HttpWebhookSender, receiver: Receiver, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered, look_up = threading.Semaphore(0), threading.Event(), sender._names.look_up

    def slowly(name: str, *, timeout: float) -> list[Address]:
        if name != NAME:
            asked.release()
            answered.wait(GENEROUS)
            raise LookupFailedError
        return look_up(name, timeout=timeout)

    monkeypatch.setattr(sender._names, "look_up", slowly)
    with ThreadPoolExecutor(MAX_CHECKS) as threads:
        slow = [threads.submit(sender.check, f"https://slow{number}.example.com/") for number in range(MAX_CHECKS)]
        assert all(asked.acquire(timeout=GENEROUS) for _ in slow)
        with pytest.raises(OverloadedError):
            sender.check(url)
        assert sender.check(receiver.url()).addresses
        assert sender.send(url, {}, b"").status == 200
        answered.set()
    assert [type(one.exception()) for one in slow] == [UnavailableError] * MAX_CHECKS
    assert str(sender.check(url)) == url
