"""A job's stream as server-sent events (WHATWG HTML, section 9.2): one write for each frame."""

import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Response, request

from app.adapters.metrics import ApiMetrics
from app.api.context import container, metrics
from app.api.dialect import Dialect
from app.container import Container
from app.domain.errors import UnavailableError
from app.domain.events import CREATED, IN_PROGRESS, QUEUED
from app.domain.jobs import Job
from app.domain.lifecycle import Status
from app.services.streams import Announcement, LeavingError, Output

log = logging.getLogger(__name__)

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
LEAVING = b": this server restarts, go on with starting_after\n\n"
_STAGES = {CREATED: "response.created", QUEUED: "response.queued", IN_PROGRESS: "response.in_progress"}


def stream(dialect: Dialect, job: Job, after: int = -1, *, cancel_when_dropped: bool = False) -> Response:
    """The events after number `after`, for as long as the reader stays.

    `cancel_when_dropped`: a reader that leaves before the end takes the job with it.
    """
    connection = request.environ.get("gunicorn.socket")
    frames = _Frames(container(), metrics(), dialect, job, after, connection, cancel_when_dropped)
    # Proxies such as nginx would gather the frames otherwise.
    headers = {"X-Accel-Buffering": "no"}
    return Response(frames.send(), content_type="text/event-stream; charset=utf-8", headers=headers)


@dataclass(slots=True)
class _Frames:
    services: Container
    metrics: ApiMetrics
    dialect: Dialect
    job: Job
    after: int
    connection: socket.socket | None
    cancel_when_dropped: bool

    def send(self) -> Iterator[bytes]:
        """All frames. The server closes this generator when a write fails."""
        with self.metrics.streaming():
            yield from self._send()

    def _send(self) -> Iterator[bytes]:
        ended = False
        events = self.services.streams.read(self.job, self.after)
        written_at = time.monotonic()
        try:
            for event in events:
                if event is None:
                    if _gone(self.connection):
                        return
                    if time.monotonic() - written_at < self.services.settings.stream_keepalive:
                        continue
                yield self._frame(event) if event else KEEP_ALIVE
                written_at = time.monotonic()
            ended = True
            yield DONE
        except LeavingError:
            # Not the reader is leaving: the job goes on.
            ended = True
            yield LEAVING
        finally:
            if not ended and self.cancel_when_dropped:
                self._cancel()

    def _frame(self, event: Announcement | Output) -> bytes:
        if isinstance(event, Output):
            kind = event.event["type"]
            body = {"type": kind, "sequence_number": event.sequence, **event.event}
        else:
            shown = self.dialect.present(event.job, stage=event.stage)
            kind = _STAGES[event.stage] if event.stage is not None else _terminal(event.job, shown["status"])
            body = {"type": kind, "sequence_number": event.sequence, "response": shown}
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return f"event: {kind}\ndata: {data}\n\n".encode("utf-8", "replace")

    def _cancel(self) -> None:
        try:
            self.services.jobs.abandon(self.job.api_key_id, self.job.id)
        except UnavailableError:
            log.warning("database unavailable, a job runs on that nobody reads")


def _terminal(job: Job, shown: str) -> str:
    # There is no event for `cancelled` that the SDKs know: it is a `response.failed` whose response says so.
    if job.status is Status.COMPLETED:
        return f"response.{shown}"
    return "response.failed"


def _gone(connection: socket.socket | None) -> bool:
    """Whether the reader has closed the connection. Nothing else tells, as long as there is nothing to write."""
    if connection is None:
        return False
    # A socket object of its own, which never waits: under gevent even a peek would.
    with socket.socket(fileno=os.dup(connection.fileno())) as probe:
        probe.settimeout(0)
        try:
            return not probe.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
