"""The task that delivers what is due at one webhook endpoint."""

import logging

from app.adapters.queue import DELIVER
from app.domain.errors import UnavailableError
from app.domain.ids import ENDPOINT, parse_prefixed
from workers.celery_app import app
from workers.process import container

log = logging.getLogger(__name__)

TIME_LIMIT = 120
"""Seconds. A drainer takes 10 and the rest of its last try, longer only if the database keeps it waiting. There is no
soft limit: it would be taken for a bug that the try has met.
"""


@app.task(name=DELIVER, time_limit=TIME_LIMIT)
def deliver(public_id: str) -> None:
    """Deliver what is due. The broker may deliver the message any number of times, or never."""
    endpoint_id = parse_prefixed(ENDPOINT, public_id)
    if endpoint_id is None:
        log.error("not a webhook endpoint's id, message dropped")
        return
    try:
        container().deliveries.drain(endpoint_id)
    except UnavailableError:
        log.warning("database unavailable, the sweep will have these webhooks delivered")
