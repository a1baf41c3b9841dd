"""Delivering webhooks: one endpoint at a time is drained of what is due, by as many drainers as it gets at once."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from app.db import webhook_claims, webhook_settling
from app.db.engine import Database
from app.db.webhook_claims import Claimed
from app.domain.errors import UnavailableError
from app.domain.ids import ENDPOINT, EVENT, prefixed
from app.domain.ports import Dispatcher
from app.domain.tracing import Attribute, continued, note, span
from app.domain.webhook_sending import WebhookSender, WebhookSendError
from app.domain.webhook_tries import SERVER_ERROR, SecretError, Settled, Tried, TryLimits
from app.domain.webhooks import DeliveryClaim, EventType, body_of, headers_of, retry_delay
from app.settings import Settings

log = logging.getLogger(__name__)

DRAIN_DELIVERIES = 50
DRAIN_TIME = 10.0
"""Deliveries, and seconds, after which a drainer leaves the rest to a new message: what was hinted at other endpoints
meanwhile comes first."""
UNSIGNED_PAUSE = 300.0
"""Seconds for which an endpoint whose secret does not open is left alone."""


@dataclass(frozen=True, slots=True)
class DeliveryService:
    """Sends what is due. No transaction is open while something is sent."""

    database: Database
    sender: WebhookSender
    dispatcher: Dispatcher
    settings: Settings
    clock: Callable[[], float] = time.monotonic

    def drain(self, endpoint_id: UUID) -> None:
        """Deliver what is due at the endpoint, one after the other, and have others help if there is more.

        Raises UnavailableError: the sweep does the rest. Whatever else ends it, the delivery in hand is handed back.
        """
        stop_at = self.clock() + DRAIN_TIME
        for number in range(DRAIN_DELIVERIES):
            claimed = self._claim(endpoint_id)
            if claimed is None:
                return
            if claimed.more and not number:
                self.dispatcher.deliver(endpoint_id)
            self._deliver(claimed.claim)
            if self.clock() >= stop_at:
                break
        self.dispatcher.deliver(endpoint_id)

    def _claim(self, endpoint_id: UUID) -> Claimed | None:
        try:
            with self.database.transaction() as connection:
                return webhook_claims.claim(connection, endpoint_id, concurrency=self.settings.webhook_concurrency)
        except SecretError:
            log.error(
                "nothing is sent to a webhook endpoint, for its secret does not open: give this worker all keys of "
                "SIMMER_ENCRYPTION_KEYS, or rotate the secret",
                extra={"fields": {"endpoint_id": prefixed(ENDPOINT, endpoint_id)}},
            )
            with self.database.transaction() as connection:
                webhook_claims.hold_off(connection, endpoint_id, seconds=UNSIGNED_PAUSE)
            return None

    def _deliver(self, held: DeliveryClaim) -> None:
        try:
            self._settle(held, self._send(held))
        except UnavailableError:
            raise
        except BaseException:
            # A worker that leaves, a time limit, a revoke: whoever is next need not wait for the lease.
            self._hand_back(held)
            raise

    def _send(self, held: DeliveryClaim) -> Tried:
        with continued({"traceparent": held.traceparent}), span("deliver webhook", "client", _attributes(held)):
            tried = self._try(held)
            note(_outcome(tried))
        return tried

    def _try(self, held: DeliveryClaim) -> Tried:
        body = body_of(held)
        headers = headers_of(held, body, timestamp=int(time.time()))
        started_at = self.clock()
        try:
            reply = self.sender.send(held.url, headers, body)
        except WebhookSendError as error:
            return Tried(self.clock() - started_at, error=error.code.value)
        except Exception as error:  # noqa: BLE001 - a bug that one endpoint meets must not have it tried for ever
            log.error("a webhook was not sent: %s", type(error).__name__, extra={"fields": _names(held)})
            return Tried(self.clock() - started_at, error=SERVER_ERROR)
        return Tried(reply.elapsed, reply.status, reply=reply.body, retry_after=reply.retry_after)

    def _settle(self, held: DeliveryClaim, tried: Tried) -> None:
        spread = random.uniform(-1, 1)  # noqa: S311 - jitter  # nosec B311
        retry_in = retry_delay(held.failures + 1, retry_after=tried.retry_after, spread=spread)
        limits = TryLimits(self.settings.retention, self.settings.webhook_disable_after)
        with self.database.transaction() as connection:
            settled = webhook_settling.settle(connection, held, tried, retry_in=retry_in, limits=limits)
        _tell(held, tried, settled)

    def _hand_back(self, held: DeliveryClaim) -> None:
        try:
            with self.database.transaction() as connection:
                webhook_claims.hand_back(connection, held)
        except UnavailableError:
            log.warning("database unavailable, a delivery waits for the end of its lease")


def _attributes(held: DeliveryClaim) -> dict[str, Attribute]:
    about: dict[str, Attribute] = {} if held.type is EventType.TEST else {"simmer.job.id": held.data_id}
    return about | {"simmer.event.id": prefixed(EVENT, held.event_id), "simmer.attempt": held.attempt}


def _outcome(tried: Tried) -> dict[str, Attribute]:
    came_back: dict[str, Attribute] = {"http.response.status_code": tried.status_code} if tried.status_code else {}
    return came_back if tried.delivered else came_back | {"error.type": tried.error or str(tried.status_code)}


def _names(held: DeliveryClaim) -> dict[str, object]:
    return {
        "event_id": prefixed(EVENT, held.event_id),
        "endpoint_id": prefixed(ENDPOINT, held.endpoint_id),
        "attempt": held.attempt,
    }


def _tell(held: DeliveryClaim, tried: Tried, settled: Settled | None) -> None:
    """One line for each try. Neither the URL, which may hold a token, nor anything that the endpoint said."""
    fields = {
        **_names(held),
        "status": tried.status_code or tried.error,
        "latency": round(tried.duration, 3),
        "delivery": settled.status.value if settled else "taken back",
    }
    log.info("webhook tried", extra={"fields": fields})
    if settled and settled.disabled:
        reason = {"endpoint_id": fields["endpoint_id"], "reason": settled.disabled.value}
        log.warning("webhook endpoint disabled", extra={"fields": reason})
