"""Sends webhooks over HTTP, to addresses that may be reached and no others: a guard at the socket."""

import re
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path

import httpcore2

from app.adapters.webhook_dns import PATIENCE, LookupFailedError, NameServers
from app.adapters.webhook_stream import Deadline, DeadlineError, Limited, Stream, TlsStream, connect
from app.domain.errors import OverloadedError, UnavailableError
from app.domain.webhook_addresses import Address, Networks, address_allowed, listed
from app.domain.webhook_sending import KEPT_BYTES, Reply, SendFailure, WebhookSendError
from app.domain.webhook_urls import NOT_ALLOWED, WebhookUrl, WebhookUrlError, parse_webhook_url

READ_BYTES = 65_536
"""How much of a reply is read, head and all."""

MAX_CHECKS = 2
"""URLs whose names are looked up at once before they are taken. Each holds a request's place, for as long as a name
server of the client's choosing likes: all places together are some sixteen.
"""

_USER_AGENT = "Simmer-Webhooks/1.0"
_MAX_TRIES = 4
"""How many of a name's addresses are tried; all are checked."""
_NOBODY, _NAME = "no known authority has signed it", "it is for another name"
_TLS_CAUSES = {10: "it has expired", 18: _NOBODY, 19: _NOBODY, 20: _NOBODY, 62: _NAME, 64: _NAME}
_DIGITS = re.compile("[0-9]{1,9}")


class HttpWebhookSender:
    """A WebhookSender. Each request has a connection of its own; the DNS is asked each time, and the connection
    made to an address that was checked. Nothing is taken from the environment: no proxy.
    """

    def __init__(
        self,
        allowed: Networks,
        *,
        nameservers: Sequence[str] = (),
        timeout: float = 20,
        ca_file: Path | str | None = None,
    ) -> None:
        """`allowed` networks may be reached though they are not public. `timeout` seconds are for all of a request.
        The certificates in `ca_file` are trusted besides the system's.
        """
        self._allowed = allowed
        self._names = NameServers(nameservers)
        self._timeout = timeout
        self._ca_file = ca_file
        self._checks = threading.BoundedSemaphore(MAX_CHECKS)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made for the first request: to read the system's certificates takes 70 ms, and the API only checks URLs."""
        made = ssl.create_default_context()
        made.set_alpn_protocols(["http/1.1"])
        if self._ca_file:
            made.load_verify_locations(self._ca_file)
        return made

    def check(self, url: str) -> WebhookUrl:
        """As WebhookSender has it."""
        parsed = parse_webhook_url(url, self._allowed)
        if not self._found(parsed):
            raise WebhookUrlError("Use a name that has an address: this one can't be resolved.", param="url")
        return parsed

    def _found(self, url: WebhookUrl) -> list[Address]:
        if url.addresses:
            return self._addresses(url, PATIENCE)
        if not self._checks.acquire(blocking=False):
            raise OverloadedError("Too many webhook URLs are looked at just now. Try again.", retry_after=PATIENCE)
        try:
            return self._addresses(url, PATIENCE)
        except LookupFailedError as error:
            raise UnavailableError("The DNS did not answer for the URL's host. Try again.") from error
        finally:
            self._checks.release()

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """As WebhookSender has it."""
        deadline = Deadline(self._timeout)
        try:
            return self._send(parse_webhook_url(url, self._allowed), headers, body, deadline)
        except DeadlineError as error:
            raise WebhookSendError(
                SendFailure.TIMEOUT, f"The endpoint did not answer within {self._timeout:g} seconds."
            ) from error
        except WebhookUrlError as error:
            raise WebhookSendError(
                SendFailure.URL_NOT_ALLOWED, "The endpoint's host leads where requests may not go now."
            ) from error

    def _send(self, url: WebhookUrl, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Reply:
        try:
            addresses = self._addresses(url, min(PATIENCE, deadline.left))
        except LookupFailedError as error:
            raise WebhookSendError(SendFailure.DNS_FAILED, "The DNS did not answer for the endpoint's host.") from error
        if not addresses:
            raise WebhookSendError(SendFailure.DNS_FAILED, "The endpoint's host can't be resolved.")
        try:
            connection = connect(addresses[:_MAX_TRIES], url.port, deadline)
        except OSError as error:
            raise WebhookSendError(SendFailure.CONNECT_FAILED, "The endpoint takes no connection.") from error
        with connection:
            stream = self._secured(url, Stream(connection, deadline))
            try:
                return _exchange(url, Limited(stream, READ_BYTES), headers, body, deadline)
            except (httpcore2.NetworkError, httpcore2.RemoteProtocolError) as error:
                raise WebhookSendError(
                    SendFailure.INVALID_REPLY, "The endpoint broke off, or what it sent is no HTTP/1.1 reply."
                ) from error

    def _addresses(self, url: WebhookUrl, timeout: float) -> list[Address]:
        """Where the URL leads now; raises WebhookUrlError unless all of it may be reached."""
        if url.addresses:
            return [address for address in url.addresses if url.address or listed(address, self._allowed)]
        found = self._names.look_up(url.host, timeout=timeout)
        if not all(address_allowed(address, self._allowed) for address in found):
            raise WebhookUrlError(
                "Use a name all of whose addresses anybody on the internet can reach.", code=NOT_ALLOWED, param="url"
            )
        return found

    def _secured(self, url: WebhookUrl, stream: Stream) -> Stream | TlsStream:
        if url.scheme == "http":
            return stream
        try:
            return TlsStream(stream, self._tls, url.host)
        except ssl.SSLCertVerificationError as error:
            cause = _TLS_CAUSES.get(error.verify_code, "it is not valid")
            message = f"The endpoint's certificate can't be trusted: {cause}."
            raise WebhookSendError(SendFailure.TLS_FAILED, message) from error
        except (ssl.SSLError, httpcore2.NetworkError) as error:
            raise WebhookSendError(SendFailure.TLS_FAILED, "The endpoint does not speak TLS 1.2 or 1.3.") from error


def _exchange(url: WebhookUrl, stream: Limited, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Reply:
    scheme, host, target = (text.encode("ascii") for text in (url.scheme, url.host, url.target))
    where = httpcore2.URL(scheme=scheme, host=host, port=url.port, target=target)
    request = httpcore2.Request("POST", where, headers=_headers(url, headers, body), content=body)
    response = httpcore2.HTTP11Connection(where.origin, stream).handle_request(request)
    kept = bytearray()
    try:
        for piece in response.iter_stream():
            kept += piece[: KEPT_BYTES - len(kept)]
    except httpcore2.RemoteProtocolError:
        # There may be more than is read, but it has to come.
        if stream.left:
            raise
    return Reply(response.status, _retry_after(response.headers), bytes(kept), deadline.elapsed)


def _headers(url: WebhookUrl, headers: Mapping[str, str], body: bytes) -> list[tuple[str, str]]:
    own = {
        "Host": url.netloc,
        "User-Agent": _USER_AGENT,
        "Accept": "*/*",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    return [*own.items(), *headers.items()]


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    value = next((value.decode("latin-1") for name, value in headers if name.lower() == b"retry-after"), "")
    if _DIGITS.fullmatch(value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
