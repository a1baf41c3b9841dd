"""The real Celery app, whose process dies at once when it calls the model `poison`."""

import os
import signal
from typing import Any

from app.domain.requests import JobRequest
from app.upstreams.chat import ChatUpstream
from workers.celery_app import app

__all__ = ["app"]

_complete = ChatUpstream.complete


def _fragile(self: ChatUpstream, request: JobRequest, **options: Any) -> Any:
    if request.model == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return _complete(self, request, **options)


ChatUpstream.complete = _fragile  # type: ignore[method-assign]
