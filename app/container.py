"""The composition root: from settings to services. Build one for each process, after a fork.

What is outside comes with large libraries. They are imported where a part needs them: `simmer jobs list` waits for no
Celery, and only who sends webhooks, or checks where they may go, holds a resolver.
"""
# ruff: noqa: PLC0415 - see above

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from app.db.engine import Database
from app.domain.encryption import NoSealer
from app.domain.ports import Dispatcher, Doorbell, EventLog, Sealer
from app.domain.webhook_addresses import Networks, parse_networks
from app.domain.webhook_sending import WebhookSender
from app.services.administration import AdministrationService
from app.services.admission import AdmissionService
from app.services.deliveries import DeliveryService
from app.services.encryption import EncryptionService
from app.services.execution import ExecutionService
from app.services.health import HealthService
from app.services.job_webhooks import JobWebhooks
from app.services.jobs import JobService
from app.services.keys import KeyService
from app.services.leases import Leases
from app.services.maintenance import MaintenanceService
from app.services.metrics import MetricsService
from app.services.stream_writer import StreamPublisher
from app.services.streams import StreamService
from app.services.vitals import VitalsService
from app.services.waiting import WaitService, Watch
from app.services.webhook_maintenance import WebhookMaintenance
from app.services.webhooks import WebhookService
from app.settings import Settings
from app.upstreams.catalog import Catalog, load_catalog
from app.upstreams.registry import UpstreamRegistry

if TYPE_CHECKING:
    from celery import Celery
    from redis import Redis

    from app.adapters.rate_limiter import RedisRateLimiter

T = TypeVar("T")

WORKER_POOL_TIMEOUT = 30.0
"""Seconds a worker's job waits for a database connection: a thousand that settle at once take their turns."""


class _Late:
    """Stands in for a part which is made, and its libraries imported, when something is first done with it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            # Two doorbells in one process would each ring for some of its listeners.
            with self._lock:
                if self._made is None:
                    self._made = self._make()
        return getattr(self._made, name)


def _late(make: Callable[[], T]) -> T:
    return cast("T", _Late(make))


class Container:
    """Every part is made when it is first asked for."""

    def __init__(self, settings: Settings, celery: "Celery | None" = None) -> None:
        """`celery` is the worker's own app; without it this process only publishes, and never waits long for it."""
        self.settings = settings
        self._worker_celery = celery

    def preload(self) -> None:
        """Import what every request needs: for a server, whose first clients should not wait for it."""
        from app.adapters import doorbell, events, queue, rate_limiter  # noqa: F401

    @cached_property
    def database(self) -> Database:
        """The pool of database connections."""
        pool_timeout = WORKER_POOL_TIMEOUT if self._worker_celery else None
        return Database(self.settings, pool_timeout=pool_timeout, sealer=self.sealer)

    @cached_property
    def sealer(self) -> Sealer:
        """Encrypts what stands at rest, if there are keys for it."""
        if not self.settings.encryption_keys:
            return NoSealer()
        # `cryptography` is 10 MB, for a process that has nothing to encrypt.
        from app.adapters.sealer import AesGcmSealer

        return AesGcmSealer(self.settings.key_ring)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """The way to the workers."""
        self.settings.require("broker_url")

        def make() -> Dispatcher:
            from celery import Celery

            from app.adapters.queue import CeleryDispatcher, api_celery_config

            celery = self._worker_celery
            if celery is None:
                celery = Celery("simmer-api", set_as_current=False)
                celery.conf.update(api_celery_config(self.settings))
            return CeleryDispatcher(celery)

        return _late(make)

    @cached_property
    def redis(self) -> "Redis":
        """The broker, for what Celery does not carry."""
        self.settings.require("broker_url")
        from app.adapters.redis_client import redis_client

        return redis_client(self.settings)

    @cached_property
    def event_log(self) -> EventLog:
        """The events of running jobs."""
        self.settings.require("broker_url")

        def make() -> EventLog:
            from app.adapters.events import RedisEventLog

            return RedisEventLog(self.redis, self.sealer)

        return _late(make)

    @cached_property
    def doorbell(self) -> Doorbell:
        """Tells waiting clients that something happened."""
        self.settings.require("broker_url")

        def make() -> Doorbell:
            from app.adapters.doorbell import RedisDoorbell

            return RedisDoorbell(self.redis)

        return _late(make)

    @cached_property
    def catalog(self) -> Catalog:
        """The models file. Raises ConfigurationError if it is missing or wrong."""
        self.settings.require("models")
        assert self.settings.models is not None
        return load_catalog(self.settings.models)

    @cached_property
    def admission(self) -> AdmissionService:
        """The caps on what may be under way."""
        return AdmissionService(self.database, self.settings)

    @cached_property
    def jobs(self) -> JobService:
        """What owners of jobs do."""
        return JobService(
            self.database,
            self.dispatcher,
            self.doorbell,
            self.event_log,
            self.catalog,
            self.admission,
            self.job_webhooks,
            self.settings,
        )

    @cached_property
    def watch(self) -> Watch:
        """What tells waiting clients even if the doorbell does not."""
        return Watch(self.database, self.doorbell, self.settings.wait_poll)

    @cached_property
    def waiting(self) -> WaitService:
        """Waiting for a job to end."""
        return WaitService(self.jobs, self.watch)

    @cached_property
    def streams(self) -> StreamService:
        """Reading the streams of jobs."""
        return StreamService(self.database, self.jobs, self.event_log, self.watch)

    @cached_property
    def keys(self) -> KeyService:
        """API keys."""
        return KeyService(self.database, self.settings.key_cache, self.settings.key_limits)

    @cached_property
    def limiter(self) -> "RedisRateLimiter":
        """Counts requests against the keys' rates."""
        from app.adapters.rate_limiter import RedisRateLimiter
        from app.adapters.redis_client import redis_client

        return RedisRateLimiter(redis_client(self.settings))

    @cached_property
    def health(self) -> HealthService:
        """Readiness."""
        return HealthService(self.database, self.dispatcher)

    @cached_property
    def leases(self) -> Leases:
        """The jobs this worker process holds. They are extended on a connection of their own: a thousand jobs
        that settle at once must not keep the heartbeat waiting.
        """
        own = Database(self.settings.model_copy(update={"database_pool": 1}))
        return Leases(own, self.settings.lease)

    @cached_property
    def execution(self) -> ExecutionService:
        """What workers do with a job."""
        return ExecutionService(
            self.database,
            UpstreamRegistry(self.catalog, self.settings),
            self.dispatcher,
            self.doorbell,
            StreamPublisher(self.event_log, self.settings.stream_window),
            self.leases,
            self.settings,
        )

    @cached_property
    def administration(self) -> AdministrationService:
        """What an administrator does with the jobs of all keys."""
        return AdministrationService(self.database, self.dispatcher, self.doorbell, self.event_log, self.settings)

    @cached_property
    def vitals(self) -> VitalsService:
        """How the service is doing, by its database."""
        return VitalsService(self.database, self.settings)

    @cached_property
    def metrics(self) -> MetricsService:
        """What the exporter shows."""
        return MetricsService(self.database, self.catalog)

    @cached_property
    def encryption(self) -> EncryptionService:
        """The keys that the stored jobs are sealed with."""
        return EncryptionService(self.database, self.sealer)

    @cached_property
    def maintenance(self) -> MaintenanceService:
        """The sweep and the purge."""
        return MaintenanceService(self.database, self.dispatcher, self.doorbell, self.event_log, self.settings)

    @cached_property
    def webhook_sender(self) -> WebhookSender:
        """The way out to webhook endpoints."""

        def make() -> WebhookSender:
            from app.adapters.webhook_sender import HttpWebhookSender

            servers = [server for server in self.settings.webhook_nameservers.split(",") if server]
            timeout, ca_file = self.settings.webhook_timeout, self.settings.webhook_ca_file
            return HttpWebhookSender(self._webhook_networks, nameservers=servers, timeout=timeout, ca_file=ca_file)

        return _late(make)

    @property
    def _webhook_networks(self) -> Networks:
        return parse_networks(self.settings.webhook_allowed_networks)

    @cached_property
    def webhooks(self) -> WebhookService:
        """What owners of webhook endpoints do."""
        return WebhookService(self.database, self.webhook_sender, self.dispatcher)

    @cached_property
    def job_webhooks(self) -> JobWebhooks:
        """The webhooks that single jobs come with."""
        return JobWebhooks(self.database, self.webhook_sender, self._webhook_networks)

    @cached_property
    def deliveries(self) -> DeliveryService:
        """What delivers webhooks."""
        return DeliveryService(self.database, self.webhook_sender, self.dispatcher, self.settings)

    @cached_property
    def webhook_maintenance(self) -> WebhookMaintenance:
        """The sweep and the purge of webhooks."""
        return WebhookMaintenance(self.database, self.dispatcher, self.settings)
