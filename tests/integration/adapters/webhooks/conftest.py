"""A sender that knows a DNS server and an authority of the test's own, and endpoints that it may and may not reach."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.adapters.webhook_sender import HttpWebhookSender
from app.domain.webhook_addresses import parse_networks
from tests.certificates import Authority
from tests.dns_server import DnsServer
from tests.webhook_receiver import Receiver
from tests.webhook_sending import GENEROUS, INSIDE, NAME, PUBLIC, Make


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.issue(NAME, PUBLIC)


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with DnsServer() as server:
        server.answer(NAME, [PUBLIC])
        yield server


@pytest.fixture
def both(certificate: Path) -> Iterator[tuple[Receiver, Receiver]]:
    """Who may be reached and who may not, on the same port and with a certificate that would do for either."""
    with ExitStack() as stack:
        public, inside = _side_by_side(certificate)
        yield stack.enter_context(public), stack.enter_context(inside)
    assert (inside.connections, inside.requests) == (0, [])


@pytest.fixture
def receiver(both: tuple[Receiver, Receiver]) -> Receiver:
    """Who may be reached. Beside each there is one inside, and after each test nothing has connected there."""
    return both[0]


@pytest.fixture
def inside(both: tuple[Receiver, Receiver]) -> Receiver:
    """Who must not be reached."""
    return both[1]


@pytest.fixture
def url(receiver: Receiver) -> str:
    return receiver.url("/hook?a=1", host=NAME)


@pytest.fixture
def make(dns: DnsServer, authority: Authority) -> Make:
    def made(timeout: float = GENEROUS, networks: str = PUBLIC) -> HttpWebhookSender:
        return HttpWebhookSender(
            parse_networks(networks), nameservers=[dns.address], timeout=timeout, ca_file=authority.ca_file
        )

    return made


@pytest.fixture
def sender(make: Make) -> HttpWebhookSender:
    return make()


def _side_by_side(certificate: Path, tries: int = 20) -> tuple[Receiver, Receiver]:
    public = Receiver(PUBLIC, certificate=certificate)
    try:
        return public, Receiver(INSIDE, port=public.port, certificate=certificate)
    except OSError:
        # Somebody has the port on the other address.
        public.close()
        if not tries:
            raise
        return _side_by_side(certificate, tries - 1)
