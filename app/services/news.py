"""Whom the end of jobs is told, after its commit. These are hints: the sweep and the watch make up for lost ones."""

from app.domain.jobs import Ended
from app.domain.ports import Dispatcher, Doorbell


def tell(ended: Ended, doorbell: Doorbell, dispatcher: Dispatcher) -> None:
    """Wake who waits for these jobs, and have their webhooks delivered; never raises."""
    doorbell.ring(ended.job_ids)
    for endpoint_id in ended.endpoint_ids:
        dispatcher.deliver(endpoint_id)
