"""A WebhookSender whose DNS knows every name, and whose endpoints are never asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.errors import OverloadedError, UnavailableError
from app.domain.webhook_sending import Reply
from app.domain.webhook_urls import NOT_ALLOWED, WebhookUrl, WebhookUrlError, parse_webhook_url


@dataclass(slots=True)
class PublicSender:
    """The names `inside` have addresses that are not public; while it is not `up`, or is `busy`, nothing is looked
    up.
    """

    up: bool = True
    busy: bool = False
    inside: set[str] = field(default_factory=set)
    checked: list[str] = field(default_factory=list)

    def check(self, url: str) -> WebhookUrl:
        parsed = parse_webhook_url(url, ())
        self.checked.append(url)
        if self.busy:
            raise OverloadedError("Too many ask.")
        if not self.up:
            raise UnavailableError("The DNS did not answer.")
        if parsed.host in self.inside:
            raise WebhookUrlError("Use a public name.", code=NOT_ALLOWED, param="url")
        return parsed

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        raise AssertionError("nobody delivers here")
