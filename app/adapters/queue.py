"""The Celery queue: how every process configures it, and the dispatcher that publishes into it by task name."""

import logging
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from celery import Celery
from celery.utils import uuid
from kombu.entity import Exchange, Queue
from kombu.exceptions import LimitExceeded, OperationalError

from app.adapters import broker  # noqa: F401 - changes how kombu speaks to Redis
from app.adapters.breaker import Breaker
from app.domain.errors import UnavailableError
from app.domain.ids import ENDPOINT, prefixed, public_id
from app.domain.jobs import JOB_QUEUES, Dispatch, Limits
from app.domain.tracing import carrier, traced
from app.settings import BROKER_VISIBILITY_TIMEOUT, Settings

log = logging.getLogger(__name__)

RUN_JOB = "jobs.run"
SWEEP = "maintenance.sweep"
PURGE = "maintenance.purge"
DELIVER = "webhooks.deliver"
SYSTEM_QUEUE = "system"
"""Sweep and purge. Workers of their own take it: it must move while every job slot is busy."""
WEBHOOK_QUEUE = "webhooks"
"""Deliveries, which may hang for as long as a stranger's server likes. Workers of their own take it, too."""
ALL_QUEUES = (*JOB_QUEUES, SYSTEM_QUEUE, WEBHOOK_QUEUE)

MAX_HINTS = 1_000
"""Messages in the webhook queue beyond which no more are sent: a queue that nobody takes from must not fill the broker,
and the sweep finds what is due."""
LOOK_INTERVAL = 1.0
"""Seconds between two looks at how many there are."""

# The default, no timeout, hangs API and workers for ever on a half-open connection.
_WORKER_TRANSPORT = {
    "visibility_timeout": BROKER_VISIBILITY_TIMEOUT,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    # Strictly in the order of `-Q`: `flex` is taken from when `priority` and `default` are empty.
    "queue_order_strategy": "priority",
}
# A request never waits long for the broker: the row is the outbox, and the sweep publishes what was missed.
_API_TRANSPORT = {
    **_WORKER_TRANSPORT,
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    "max_retries": 0,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}


def celery_config(settings: Settings) -> dict[str, Any]:
    """What every Celery process of Simmer shares. No result backend: Postgres keeps the results."""
    return {
        "broker_url": settings.broker_url,
        "broker_transport_options": _WORKER_TRANSPORT,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        # Early: a late acknowledgement hands a job of a frozen worker out twice. The lease replaces it.
        "task_acks_late": False,
        "task_default_queue": "default",
        "task_queues": [Queue(name, Exchange(name), routing_key=name) for name in ALL_QUEUES],
        "task_create_missing_queues": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def api_celery_config(settings: Settings) -> dict[str, Any]:
    """The same for a process that answers requests: it gives a broker that is down half a second."""
    return {
        **celery_config(settings),
        "broker_transport_options": _API_TRANSPORT,
        "broker_connection_timeout": 0.5,
        "broker_pool_limit": settings.database_pool,
        "broker_pool_acquire_timeout": 0.5,
        "task_publish_retry": False,
    }


class CeleryDispatcher:
    """Publishes hints about jobs; the broker being down, frozen or full costs a log line and nothing else."""

    def __init__(self, celery: Celery) -> None:
        """Publish through `celery`'s connections."""
        self._celery = celery
        self._breaker = Breaker()
        self._hints = 0
        self._looked_at = -LOOK_INTERVAL

    @traced("publish", "producer")
    def dispatch(self, message: Dispatch) -> bool:
        """Publish the job's id. False if the broker did not take it; the sweep will publish it again."""
        task_id = public_id(message.job_id)
        return self._try("dispatch", lambda: self._send(RUN_JOB, task_id, task_id, message.queue, message.limits))

    def abort(self, job_id: UUID, worker: str) -> None:
        """Have `worker` end the job's task as if an administrator had terminated it."""
        task_id = public_id(job_id)
        self._try("abort", lambda: self._celery.control.revoke(task_id, terminate=True, destination=[worker]))

    def deliver(self, endpoint_id: UUID) -> bool:
        """Publish the endpoint's id. False if the broker did not take it, or has enough of these."""
        endpoint = prefixed(ENDPOINT, endpoint_id)
        return self._try(
            "webhook",
            lambda: self._may_hint() and self._send(DELIVER, uuid(), endpoint, WEBHOOK_QUEUE),
        )

    def _may_hint(self) -> bool:
        """Whether the webhook queue is short, as of a moment ago."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_INTERVAL:
            self._looked_at = now
            self._hints = self.backlog(WEBHOOK_QUEUE)
        return self._hints < MAX_HINTS

    def backlog(self, queue: str) -> int:
        """Messages that wait in `queue`."""
        try:
            with self._celery.connection_for_read() as connection:
                # Declaring anew is harmless; asking passively fails on Redis, where an empty queue does not exist.
                declared = self._celery.amqp.queues[queue].bind(connection.default_channel).queue_declare()
                return int(declared.message_count)
        except _broker_errors(self._celery) as error:
            raise UnavailableError("The broker does not answer. Check that it runs.") from error

    def ping(self) -> None:
        """Raise UnavailableError unless the broker answers."""
        self.backlog(SYSTEM_QUEUE)

    def _send(self, task: str, task_id: str, argument: str, queue: str, limits: Limits | None = None) -> object:
        """What `Celery.send_task` does, in 0.25 ms instead of 0.45: without routes, an AsyncResult, a look for what to
        show of the arguments, and a declaration of the queue, which is the workers' to declare; none of it is used.
        """
        amqp = self._celery.amqp
        message = amqp.create_task_message(
            task_id,
            task,
            (argument,),
            {},
            soft_time_limit=limits and limits.soft_time_limit,
            time_limit=limits and limits.time_limit,
            ignore_result=True,
            argsrepr=f"({argument!r},)",
            kwargsrepr="{}",
        )
        with self._celery.producer_or_acquire() as producer:
            return amqp.send_task_message(producer, task, message, queue=queue, declare=(), headers=carrier())

    def _try(self, what: str, publish: Callable[[], object]) -> bool:
        """Whether `publish` did something; no exception but a log line if it could not."""
        if not self._breaker.closed:
            return False
        try:
            done = publish()
        except LimitExceeded:
            # Every connection is in use: the broker is fine, this process is busy.
            log.warning("no broker connection is free, %s left to the sweep", what)
            return False
        except Exception as error:  # noqa: BLE001 - the row is committed: nothing here may fail the request
            self._breaker.trip()
            log.warning("broker unavailable, %s left to the sweep: %s", what, type(error).__name__)
            return False
        return done is not False


def _broker_errors(celery: Celery) -> tuple[type[Exception], ...]:
    connection = celery.connection_for_write()
    return (*connection.connection_errors, *connection.channel_errors, OperationalError, OSError)
