"""Task events in batches, for a worker that runs in greenlets."""

from typing import Any

from celery import bootsteps

FLUSH_AFTER = 0.2
"""Seconds that an event waits for others at most; Celery's own limit is 24 of them."""


class EventBatches(bootsteps.StartStopStep):
    """Has a gevent worker do what Celery does for prefork alone: publish task events together, not one by one.

    Each job has three, and publishing one takes as long as a statement of the job's. Add it with
    `app.steps["consumer"].add(EventBatches)`.
    """

    requires = ("celery.worker.consumer.events:Events",)

    def start(self, c: Any) -> None:
        if c.hub:
            return
        waiting = False
        dispatcher = c.event_dispatcher

        def flush() -> None:
            nonlocal waiting
            waiting = False
            dispatcher.flush()

        def flush_soon() -> None:
            nonlocal waiting
            if not waiting:
                waiting = True
                c.timer.call_after(FLUSH_AFTER, flush)

        dispatcher.buffer_group = frozenset({"task"})
        dispatcher.on_send_buffered = flush_soon

    def shutdown(self, c: Any) -> None:
        if c.event_dispatcher:
            c.event_dispatcher.flush()
