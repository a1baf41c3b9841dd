"""Refuses requests that come in faster than this process can answer, before anything is done for them."""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING

from app.api.headers import EVERY, new_request_id
from app.logs import bind

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

NEVER_REFUSED = {"/healthz", "/readyz", "/metrics"}
"""A busy process must not be taken for a broken one, and killed; and it must say how busy it is."""
CREATES = 0.5
"""The part of the places that creates may take: a create costs three times a poll, and makes more polls."""
ONE_KEY = 0.75
"""The part of the places that one API key may take: the rest stays free for others, however much it sends."""
BURST = 4
"""How many times its places a process gives away for a moment, if it had nothing to do just before."""
REST = 0.25
"""Seconds after its last moment without work in which a process takes a burst."""
PAUSES = (1, 2, 3, 4, 5)
"""Seconds of Retry-After, in turn: those who are refused together should not all come back together."""
LOG_INTERVAL = 1.0
"""Seconds between two log lines: one for each refusal would cost more than the refusal."""

_MESSAGE = "The service is too busy. Wait as long as Retry-After says, then try again."
_BODY = json.dumps({"error": {"message": _MESSAGE, "type": "server_error", "param": None, "code": "overloaded"}})
_REFUSAL = _BODY.encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Asking:
    """What is known of a request before anything is done for it: whether it creates, and its key, unverified."""

    creates: bool
    key: str


@dataclass(slots=True)
class Gate:
    """Counts the requests that a process works on, and says whether one more may come in.

    A process does one thing at a time: with n requests in work each takes n times as long as alone. So their number
    is kept small. Only if the process had nothing to do within the last REST seconds, and so has a burst before it and
    not a flood, it takes BURST times as many.
    """

    places: int
    clock: Callable[[], float] = time.monotonic
    taken: int = 0
    _creates: int = 0
    _of_key: Counter[str] = field(default_factory=Counter)
    _rested_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, asking: Asking) -> bool:
        """Take a place, if there is one for such a request."""
        with self._lock:
            free = self._has_room(asking)
            if free:
                self._count(asking, 1)
        return free

    def join(self, asking: Asking) -> None:
        """Take a place, whether or not there is one."""
        with self._lock:
            self._count(asking, 1)

    def leave(self, asking: Asking) -> None:
        """Give the place back."""
        with self._lock:
            self._count(asking, -1)
            if not self._of_key[asking.key]:
                del self._of_key[asking.key]

    def _has_room(self, asking: Asking) -> bool:
        now = self.clock()
        if not self.taken:
            self._rested_at = now
        places = self.places * BURST if now - self._rested_at < REST else self.places
        return (
            self.taken < places
            and not (asking.creates and self._creates >= places * CREATES)
            and self._of_key[asking.key] < places * ONE_KEY
        )

    def _count(self, asking: Asking, change: int) -> None:
        self.taken += change
        self._creates += change * asking.creates
        self._of_key[asking.key] += change


_place: ContextVar[tuple[Gate, Asking] | None] = ContextVar("place", default=None)


@contextmanager
def aside() -> Iterator[None]:
    """Give the request's place to others for the block, which only waits. Afterwards it has a place again, at once:
    what was begun is finished.
    """
    place = _place.get()
    if place is None:
        yield
        return
    gate, asking = place
    gate.leave(asking)
    try:
        yield
    finally:
        gate.join(asking)


class Backpressure:
    """WSGI middleware. A request counts until the app has its answer: streams don't while they are read."""

    def __init__(self, app: "WSGIApplication", gate: Gate, count: Callable[[str], None]) -> None:
        """Let in what `gate` has a place for; `count` each refusal, by its code."""
        self._app = app
        self._count = count
        self._gate = gate
        self._pauses = cycle(PAUSES)
        self._refused = 0
        self._logged_at = 0.0

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] in NEVER_REFUSED:
            return self._app(environ, start_response)
        key = environ.get("HTTP_AUTHORIZATION") or environ.get("HTTP_X_API_KEY", "")
        asking = Asking(environ["REQUEST_METHOD"] == "POST", key)
        if not self._gate.enter(asking):
            return self._refuse(start_response)
        token = _place.set((self._gate, asking))
        try:
            return self._app(environ, start_response)
        finally:
            _place.reset(token)
            self._gate.leave(asking)

    def _refuse(self, start_response: "StartResponse") -> Iterable[bytes]:
        request_id = new_request_id()
        self._count("overloaded")
        self._log(request_id)
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(_REFUSAL))),
            ("Retry-After", str(next(self._pauses))),
            ("X-Request-Id", request_id),
            *EVERY.items(),
        ]
        start_response("503 Service Unavailable", headers)
        return [_REFUSAL]

    def _log(self, request_id: str) -> None:
        self._refused += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL:
            bind(request_id=request_id)
            fields = {"refused": self._refused, "in_work": self._gate.taken}
            log.warning("overloaded, requests refused", extra={"fields": fields})
            self._refused, self._logged_at = 0, now
