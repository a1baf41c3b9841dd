"""`simmer exporter`: shows Prometheus what the database and the broker know of the queues."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click
from prometheus_client import CollectorRegistry

from app.adapters.broker_facts import BrokerInspector
from app.adapters.inspection import NodeInspector
from app.adapters.queue import ALL_QUEUES
from app.adapters.scrapes import server
from app.adapters.truth_metrics import Seen, TruthCollector
from app.commands.access import site_settings
from app.container import Container
from app.domain.errors import ServiceError
from app.domain.totals import Truth
from app.logs import configure, raised_at

log = logging.getLogger(__name__)
T = TypeVar("T")

WORKERS_AGE = 30.0
"""Seconds between two rounds of asking the workers who they are: each of them answers each time."""


@dataclass
class Lookout:
    """Looks again and again; scrapes show what was seen last."""

    parts: Container
    clock: Callable[[], float] = time.monotonic
    seen: Seen = field(default_factory=Seen)
    _workers: Mapping[str, int] | None = None
    _asked_at: float = float("-inf")

    def __post_init__(self) -> None:
        self._broker = BrokerInspector(self.parts.settings)
        self._nodes = NodeInspector(self.parts.settings)

    def look(self) -> None:
        """Look once; what does not answer is told of in the log, and in the figures."""
        began = self.clock()
        truth = _asked(self._truth)
        backlogs = _asked(lambda: self._broker.backlogs(ALL_QUEUES))
        workers = self._takers() if backlogs is not None else None
        self.seen = Seen(truth, backlogs, workers, seconds=self.clock() - began, at=self.clock())

    def _truth(self) -> Truth:
        self.parts.metrics.count()
        return self.parts.metrics.look()

    def _takers(self) -> Mapping[str, int] | None:
        if self.clock() - self._asked_at >= WORKERS_AGE:
            self._workers = _asked(self._count_takers)
            self._asked_at = self.clock()
        return self._workers

    def _count_takers(self) -> Mapping[str, int]:
        nodes = self._nodes.nodes()
        return {queue: sum(queue in node.queues for node in nodes) for queue in ALL_QUEUES}


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=9188, show_default=True, help="0 for any free one.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--interval", type=click.FloatRange(0.1, 60), default=5, show_default=True, help="Seconds between looks.")
def exporter(port: int, address: str, interval: float) -> None:
    """Serve the figures of queues and jobs to Prometheus.

    What waits, what ended how, how long it took.

    One is enough; of several each shows the same. With SIMMER_METRICS_TOKEN set, scrapes need it.
    """
    leaving = _told_to_leave()
    settings = site_settings()
    settings.require("database_url", "broker_url", "models")
    configure(settings)
    lookout = Lookout(Container(settings))
    # Made now: a wrong models file must stop the start.
    _ = lookout.parts.catalog
    registry = CollectorRegistry()
    registry.register(TruthCollector(lambda: lookout.seen))
    lookout.look()
    try:
        serving = server(address, port, registry, settings.metrics_token)
    except OSError as error:
        raise click.ClickException(
            f"Can't listen on {address}:{port}: {error.strerror}. Choose another --port."
        ) from error
    threading.Thread(target=serving.serve_forever, name="scrapes", daemon=True).start()
    click.echo(f"Listening at: http://{address}:{serving.server_port}/metrics")
    while not leaving.wait(interval):
        lookout.look()


def _told_to_leave() -> threading.Event:
    """Set at SIGTERM or SIGINT. As the first process of a container it would get neither without a handler."""
    leaving = threading.Event()

    def leave(*_: Any) -> None:
        leaving.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    return leaving


def _asked(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except ServiceError as error:
        log.warning("%s", error.message)
    except Exception as error:  # noqa: BLE001 - the exporter must go on, and show what it can't see
        log.error("looking failed: %s", type(error).__name__, extra={"fields": {"at": raised_at(error)}})
    return None
