"""Flower does not start without a login: whoever is let in can stop every job and every worker."""

import sys
from typing import Any

import click
from celery import signals
from tornado.options import options

_LOGINS = ("basic_auth", "auth")
_ADVICE = (
    "Error: Flower would let everybody in. Set FLOWER_BASIC_AUTH=user:password, "
    "or FLOWER_AUTH and FLOWER_AUTH_PROVIDER for OAuth."
)


def install() -> None:
    """Check when Flower has read its options: from the environment, its command line or its file."""
    signals.import_modules.connect(_check, weak=False)


def _check(**_: Any) -> None:
    # Every process of Celery sends this signal. Flower, which has none of its own, does so once it is set up.
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "flower":
        return
    # A list of logins, or a pattern; `--basic-auth=` is a list of an empty one.
    if not any(any(getattr(options, name, None) or ()) for name in _LOGINS):
        sys.exit(_ADVICE)
