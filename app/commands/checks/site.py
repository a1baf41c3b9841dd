"""The service that is examined: each part is asked once, and a part that is down is known to all checks."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

from app.adapters.broker_facts import BrokerFacts, BrokerInspector
from app.adapters.inspection import Node, NodeInspector
from app.container import Container
from app.db.vitals import ServerFacts
from app.domain.errors import ServiceError
from app.settings import Settings
from app.upstreams.catalog import Catalog, load_catalog
from app.upstreams.ping import Pong, ping

T = TypeVar("T")


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"
    SKIPPED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `check` is its stable name; `mend` says what to do, if there is anything."""

    check: str
    level: Level
    message: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A server's clock against this machine's, in seconds; `doubt` is how far the network may have distorted it."""

    ahead: float
    doubt: float


class Site:
    """Every part is None where it is down; `why` then holds the error."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.parts = Container(settings)
        self.why: dict[str, ServiceError] = {}
        self.clocks: dict[str, Reading] = {}

    @cached_property
    def server(self) -> ServerFacts | None:
        """The database server."""
        asked_at = time.time()
        facts = self._try("database", self._ask_server)
        if facts:
            self._read_clock("database", facts.now.timestamp(), asked_at)
        return facts

    @cached_property
    def migrated(self) -> bool:
        """Whether the schema is as this code wants it; false also if the database is down."""
        return bool(self.server and self._try("migrations", self.parts.vitals.migrated))

    @cached_property
    def broker(self) -> BrokerFacts | None:
        """The broker's server."""
        inspector = self._try("broker", lambda: BrokerInspector(self.settings))
        # The first answer has the time of a new connection in it.
        facts = self._try("broker", inspector.facts) if inspector else None
        asked_at = time.time()
        facts = self._try("broker", inspector.facts) if inspector and facts else None
        if facts:
            self._read_clock("broker", facts.now, asked_at)
        return facts

    @cached_property
    def nodes(self) -> list[Node] | None:
        """Workers and beat."""
        return self._try("workers", lambda: NodeInspector(self.settings).nodes()) if self.broker else None

    @cached_property
    def catalog(self) -> Catalog | None:
        """The models file."""
        return self._try("models", self._load_catalog)

    @cached_property
    def pongs(self) -> dict[str, Pong]:
        """How each upstream whose key is here answered; all are asked at once."""
        if self.catalog is None:
            return {}
        missing = set(self.catalog.missing_keys())
        asked = {name: entry for name, entry in self.catalog.upstreams.items() if entry.api_key_env not in missing}
        patience = self.settings.upstream_connect_timeout
        with ThreadPoolExecutor(8) as pool:
            return dict(zip(asked, pool.map(lambda entry: ping(entry, timeout=patience), asked.values()), strict=True))

    def _ask_server(self) -> ServerFacts:
        # Without a database in the settings there are no parts to ask.
        return self.parts.vitals.server()

    def _load_catalog(self) -> Catalog:
        self.settings.require("models")
        assert self.settings.models
        return load_catalog(self.settings.models)

    def _try(self, part: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except ServiceError as error:
            self.why[part] = error
            return None

    def _read_clock(self, name: str, told: float, asked_at: float) -> None:
        now = time.time()
        self.clocks[name] = Reading(told - (asked_at + now) / 2, (now - asked_at) / 2)
