"""Looks up the addresses of webhook endpoints. Not with getaddrinfo(), which can't be told when to give up."""

import re
import time
from collections.abc import Sequence
from ipaddress import ip_address

import dns.exception
import dns.nameserver
import dns.resolver
from dns.rdatatype import RdataType

from app.domain.webhook_addresses import Address

PATIENCE = 3.0
"""Seconds for all questions about one name."""

# In brackets, or without a colon, or (IPv6 alone) with several; then the port.
_SERVER = re.compile(
    r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*))(?::([0-9]{1,5}))?"
)


class LookupFailedError(Exception):
    """The DNS did not say which addresses the name has."""


class NameServers:
    """The DNS servers that are asked: those given as `1.2.3.4`, `1.2.3.4:5353` or `[::1]:5353`, or the system's."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        """Raise ValueError, which says what to write, if one of `servers` is no address."""
        self._servers = [_server(text) for text in servers]

    def look_up(self, name: str, *, timeout: float = PATIENCE) -> list[Address]:
        """All addresses of `name`, those of IPv4 first; none if it has none or does not exist.

        Raises LookupFailedError if there is no answer in time; no thread waits, under gevent the greenlet alone.
        """
        deadline = time.monotonic() + timeout
        found: list[Address] = []
        failure: LookupFailedError | None = None
        for kind in (RdataType.A, RdataType.AAAA):
            try:
                found += self._ask(name, kind, deadline)
            except LookupFailedError as error:
                # Servers that fail at questions for AAAA alone exist.
                failure = error
        if failure and not found:
            raise failure
        return found

    def _ask(self, name: str, kind: RdataType, deadline: float) -> list[Address]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise LookupFailedError
        try:
            answer = self._resolver().resolve(f"{name}.", kind, lifetime=left, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailedError from error
        return [ip_address(record.address) for record in answer.rrset or ()]

    def _resolver(self) -> dns.resolver.Resolver:
        # Made anew each time, since the system's servers may change: that costs a look at one small file.
        resolver = dns.resolver.Resolver(configure=not self._servers)
        if self._servers:
            resolver.nameservers = list(self._servers)
        # The first of the servers may be down.
        resolver.timeout = PATIENCE / 3
        return resolver


def _server(text: str) -> dns.nameserver.Nameserver:
    match = _SERVER.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        address, port = ip_address(match[1] or match[2]), int(match[3] or 53)
        if not 0 < port < 65_536:
            raise ValueError
    except ValueError as error:
        raise ValueError(
            "Write DNS servers as addresses, as in 192.0.2.53,192.0.2.54:5353,[2001:db8::53]:53."
        ) from error
    return dns.nameserver.Do53Nameserver(str(address), port)
