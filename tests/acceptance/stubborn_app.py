"""The real Celery app, with an upstream client that swallows every soft limit and goes on waiting."""

from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from app.upstreams.chat import ChatUpstream
from workers.celery_app import app

__all__ = ["app"]

_complete = ChatUpstream.complete


def _stubborn(self: ChatUpstream, *args: Any, **options: Any) -> Any:
    while True:
        try:
            return _complete(self, *args, **options)
        except SoftTimeLimitExceeded:
            print("soft limit swallowed", flush=True)


ChatUpstream.complete = _stubborn  # type: ignore[method-assign]
