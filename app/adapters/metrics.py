"""What an API process counts for Prometheus. Under gunicorn all processes of one master count into files of a common
folder, which `app.adapters.metric_files` keeps: whichever is asked answers for all.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.adapters import metric_files

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
MAX_AGE = 1.0
"""Seconds for which one answer is good for everybody who asks: it takes milliseconds to make."""
OTHER = "other"
"""A method that no route takes: clients send what they like, and each label's value is kept for ever."""

# Series of their own that say when each was first counted in, and that nobody asks for.
disable_created_metrics()

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)


class _Series(NamedTuple):
    """What one kind of request is counted in."""

    requests: Any
    seconds: Any


@dataclass
class ApiMetrics:
    """The series of this process. Values of labels are the app's own words alone: what a client sent never is one."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    gauges: dict[str, Callable[[], float]] = field(default_factory=dict)
    """Where the gauges are read; see `sample()`."""
    clock: Callable[[], float] = time.monotonic
    streams: int = 0
    waits: int = 0
    _series: dict[tuple[str, str, int], _Series] = field(default_factory=dict)
    _rendered: tuple[float, bytes] = (float("-inf"), b"")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if metric_files.folder():
            metric_files.count_together()
        self._requests = Counter(
            "simmer_http_requests",
            "Requests that were answered; of streams, that were begun. Without those refused before they had a route: "
            "as `overloaded`, or for a head that is too long or not HTTP.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "simmer_http_request_duration_seconds",
            "From the request's head to the answer's, which a client may have asked to wait for.",
            ["route", "method"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self._refusals = Counter(
            "simmer_http_refusals",
            "Answers that were an error, by its code, which docs/api.md explains.",
            ["code"],
            registry=self.registry,
        )
        self._gauges = {name: self._gauge(name, meaning) for name, meaning in _GAUGES.items()}
        self.gauges |= {"processes": lambda: 1, "streams": lambda: self.streams, "waits": lambda: self.waits}

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"simmer_api_{name}", meaning, registry=self.registry, multiprocess_mode="livesum")

    def answered(self, route: str, method: str, status: int, seconds: float, code: str | None) -> None:
        """Count one request. `route` is the rule, not the path; `code` the error's, if it was one."""
        kind = (route, method, status // 100)
        series = self._series.get(kind) or self._known(kind)
        series.requests.inc()
        series.seconds.observe(seconds)
        if code:
            self.refused(code)

    def refused(self, code: str) -> None:
        """Count one refusal."""
        self._refusals.labels(code).inc()

    def _known(self, kind: tuple[str, str, int]) -> _Series:
        """Looking labels up takes as long as counting: it is done once for each kind of request."""
        route, method, hundreds = kind
        if method not in _METHODS:
            return _Series(self._requests.labels(route, OTHER, f"{hundreds}xx"), self._seconds.labels(route, OTHER))
        made = _Series(self._requests.labels(route, method, f"{hundreds}xx"), self._seconds.labels(route, method))
        return self._series.setdefault(kind, made)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A client waits for its job during the block."""
        self.waits += 1
        try:
            yield
        finally:
            self.waits -= 1

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """A client reads a stream during the block."""
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def sample(self) -> None:
        """Note the gauges, for other processes to show. Call it every second: requests need not pay for them."""
        for name, read in self.gauges.items():
            self._gauges[name].set(read())

    def render(self) -> bytes:
        """All series of all processes, in Prometheus' text format; up to MAX_AGE old."""
        with self._lock:
            made_at, text = self._rendered
            if self.clock() - made_at >= MAX_AGE:
                text = self._render()
                self._rendered = self.clock(), text
        return text

    def _render(self) -> bytes:
        self.sample()
        if metric_files.folder() is None:
            return generate_latest(self.registry)
        shared = CollectorRegistry()
        with metric_files.reading() as folder:
            MultiProcessCollector(shared, path=folder)
            return generate_latest(shared)


_GAUGES = {
    "processes": "API processes that answer.",
    "requests_in_work": "Requests that are worked on; those that only wait do not count.",
    "streams": "Streams that clients read.",
    "waits": "Requests that wait for their job to end.",
    "database_connections_in_use": "Database connections that somebody has taken.",
    "database_connections": "Database connections that there may be.",
    "rate_limiter_local": "Processes that count rates for themselves, because the broker does not answer.",
}
