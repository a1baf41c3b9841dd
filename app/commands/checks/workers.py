"""Workers and beat: somebody takes from every queue, and nothing lies about that a sweep should have moved."""

from collections.abc import Iterator

from app.adapters.queue import ALL_QUEUES, SYSTEM_QUEUE, WEBHOOK_QUEUE
from app.commands.checks.site import Finding, Level, Site
from app.commands.terminal import span
from app.domain.jobs import SYNC_QUEUE

_START = "celery -A workers.celery_app worker -P gevent"
_COMMANDS = {
    SYNC_QUEUE: f"{_START} -c 200 -Q sync -E -n sync@%h",
    SYSTEM_QUEUE: f"{_START} -c 20 -Q system -E -n system@%h",
    WEBHOOK_QUEUE: f"{_START} -c 100 -Q webhooks -E -n webhooks@%h",
}
_JOBS = f"{_START} -c 1000 -Q priority,default,flex -E -n jobs@%h"


def check_workers(site: Site) -> Iterator[Finding]:
    """Whether somebody takes from each queue."""
    nodes = site.nodes
    if nodes is None:
        yield Finding("workers", Level.SKIPPED, "The broker does not answer.")
        return
    orphans = [name for name in ALL_QUEUES if not any(name in node.queues for node in nodes)]
    for queue in orphans:
        # Not everybody uses webhooks.
        level = Level.WARNING if queue == WEBHOOK_QUEUE else Level.BROKEN
        mend = f"Start one, and see that it reaches the broker: {_COMMANDS.get(queue, _JOBS)}"
        yield Finding("workers", level, f"No worker takes from the queue `{queue}`.", mend)
    if not orphans:
        names = [node.name for node in nodes if not node.is_beat]
        yield Finding("workers", Level.OK, f"Every queue is taken from: {', '.join(names)}.")


def check_beat(site: Site) -> Iterator[Finding]:
    """Whether beat is alive, and what it has done is done."""
    late = list(_late(site))
    if site.nodes is None:
        yield from late or [Finding("beat", Level.SKIPPED, "The broker does not answer.")]
        return
    beats = [node.name for node in site.nodes if node.is_beat]
    if not beats:
        mend = "Start one: celery -A workers.celery_app beat. Without it no lost job is rescued, and nothing expires."
        yield Finding("beat", Level.BROKEN, "Beat does not answer: it is not there, or has stalled.", mend)
    elif not late:
        yield Finding("beat", Level.OK, f"{', '.join(beats)} answers, and nothing waits for a sweep.")
    yield from late


def _late(site: Site) -> Iterator[Finding]:
    for overdue in site.parts.vitals.overdue() if site.migrated else ():
        message = f"No sweep for long: {overdue.rows} {overdue.what} wait, the first for {span(overdue.late)}."
        mend = "See the log of the worker that takes from `system`: does it run, reach the database, and keep up?"
        yield Finding("beat", Level.BROKEN, message, mend)
