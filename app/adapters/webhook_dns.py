"""Looks up the addresses of webhook endpoints. Not with getaddrinfo(), which can't be told when to give up."""

import time
from collections.abc import Sequence
from ipaddress import ip_address

import dns.exception
import dns.nameserver
import dns.resolver
from dns.rdatatype import RdataType

from app.domain.webhook_addresses import Address, parse_name_server

PATIENCE = 3.0
"""Seconds for all questions about one name."""


class LookupFailedError(Exception):
    """The DNS did not say which addresses the name has."""


class NameServers:
    """The DNS servers that are asked: those given as `1.2.3.4`, `1.2.3.4:5353` or `[::1]:5353`, or the system's."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        """Raise ValueError, which says what to write, if one of `servers` is no address."""
        self._servers = [dns.nameserver.Do53Nameserver(*parse_name_server(server)) for server in servers]

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
