"""What sends a webhook's requests out, as services see it; an adapter fills the role."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.domain.webhook_urls import WebhookUrl

KEPT_BYTES = 1_024
"""How much of a reply's body is kept."""


class SendFailure(StrEnum):
    """Why a request got no reply."""

    URL_NOT_ALLOWED = "url_not_allowed"
    DNS_FAILED = "dns_failed"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    TIMEOUT = "timeout"
    INVALID_REPLY = "invalid_reply"


class WebhookSendError(Exception):
    """A request got no reply. `message` is for the endpoint's owner and holds nothing that the endpoint sent."""

    def __init__(self, code: SendFailure, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Reply:
    """What an endpoint answered, whatever its status: a redirect is a reply too, and is not followed."""

    status: int
    retry_after: float | None
    """Seconds that the endpoint asks to wait, if it does."""
    body: bytes
    """The beginning: KEPT_BYTES at most, as they came, compressed or not."""
    elapsed: float
    """Seconds from the look at the URL to the end of the reply."""


class WebhookSender(Protocol):
    """The way out to endpoints, which never leads inside."""

    def check(self, url: str) -> WebhookUrl:
        """The URL taken apart, if requests may go there now.

        Raises WebhookUrlError if not, UnavailableError if the DNS does not say, and OverloadedError if too many ask.
        """
        ...

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """POST `body`; everything is checked again. Raises WebhookSendError if there is no reply in time.

        Host, Content-Length, Connection, User-Agent and Accept are added to `headers`.
        """
        ...
