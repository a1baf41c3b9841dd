"""What tests of the webhook sender share: who is who, and what a refusal looks like."""

from typing import Protocol

import pytest

from app.adapters.webhook_sender import HttpWebhookSender
from app.domain.webhook_sending import SendFailure, WebhookSender, WebhookSendError
from app.domain.webhook_urls import WebhookUrlError

NAME = "hooks.example.com"
# Public as far as the sender knows; what listens on 127.0.0.1 is the inside.
PUBLIC, INSIDE = "127.0.0.2", "127.0.0.1"
GENEROUS = 30.0


class Make(Protocol):
    """Makes a sender that may reach `networks` besides what is public."""

    def __call__(self, timeout: float = GENEROUS, networks: str = PUBLIC) -> HttpWebhookSender: ...


def failure(sender: WebhookSender, url: str) -> SendFailure:
    with pytest.raises(WebhookSendError) as caught:
        sender.send(url, {}, b"{}")
    assert NAME not in caught.value.message
    assert caught.value.message.endswith(".")
    return caught.value.code


def refusal(sender: WebhookSender, url: str) -> str:
    with pytest.raises(WebhookUrlError) as caught:
        sender.check(url)
    assert caught.value.param == "url"
    return caught.value.error_code
