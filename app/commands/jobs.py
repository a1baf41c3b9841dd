"""`simmer jobs`: look at the jobs of all keys, stop one, have one run again, follow one."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from app.commands.access import JOB_ID, as_json, container
from app.commands.content import content_of, described, told
from app.commands.tail import tail
from app.commands.terminal import Cell, Column, Grid, moment, note, show, show_json, span
from app.domain.errors import IllegalMoveError, NotFoundError
from app.domain.ids import public_id
from app.domain.jobs import JOB_QUEUES
from app.domain.lifecycle import Status

if TYPE_CHECKING:
    from app.db.administration import JobRecord
    from app.services.administration import Requeued

STYLES = {
    Status.QUEUED: "cyan",
    Status.IN_PROGRESS: "bold blue",
    Status.COMPLETED: "green",
    Status.FAILED: "bold red",
    Status.CANCELLED: "yellow",
}
_LIST = (
    Column("ID"),
    Column("STATUS"),
    Column("MODEL", 1),
    Column("AGE", right=True),
    Column("RAN", 4, right=True),
    Column("TRY", 5, right=True),
    Column("QUEUE", 6),
    Column("WORKER", 3),
    Column("ERROR", 2),
    Column("KEY", 7),
)
job_ids = click.argument("job_ids", metavar="ID...", type=JOB_ID, nargs=-1, required=True)


@click.group()
def jobs() -> None:
    """Look at the jobs of all keys, cancel, requeue and follow them."""


jobs.add_command(tail)


@jobs.command("list")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only jobs of this status.")
@click.option("--model", help="Only jobs for this model.")
@click.option("--queue", type=click.Choice(JOB_QUEUES), help="Only jobs of this queue.")
@click.option("--worker", help="Only jobs that this worker has, or had last.")
@click.option("--key", "api_key_id", type=click.UUID, help="Only jobs of the API key with this id.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--before", type=JOB_ID, help="Only jobs older than this one: the last id of the page before.")
@as_json
def list_jobs(status: str | None, as_json: bool, **narrowed: Any) -> None:
    """List the newest jobs of all keys, without prompts and results."""
    from app.db.administration import JobQuery  # noqa: PLC0415 - a shell completes this group's names without it

    wanted = JobQuery(status=Status(status) if status else None, **narrowed)
    found = container().administration.page(wanted)
    if as_json:
        show_json([described(job) for job in found])
        return
    show(Grid(_LIST, [_row(job) for job in found]))
    if len(found) == wanted.limit:
        note(f"There may be more: --before {public_id(found[-1].id)}")


@jobs.command("show")
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option("--content", is_flag=True, help="Also print the prompt and the result.")
@as_json
def show_job(job_id: UUID, content: bool, as_json: bool) -> None:
    """Show all that is known about a job."""
    administration = container().administration
    job = administration.get(job_id)
    found = administration.content(job_id) if content else None
    if as_json:
        show_json(described(job) | (content_of(found) if found is not None else {}))
        return
    rows = [[Cell(name, "bold"), cell] for name, cell in _details(job)]
    show(Grid((Column("JOB"), Column(public_id(job.id))), rows), *(told(found) if found is not None else ()))


@jobs.command("cancel")
@job_ids
@as_json
def cancel_jobs(job_ids: Sequence[UUID], as_json: bool) -> None:
    """End queued or running jobs, and stop their workers. Exit code 1 if one of them can't be cancelled."""
    administration = container().administration
    _each(job_ids, administration.cancel, lambda job: "cancelled", described, as_json)


@jobs.command("requeue")
@job_ids
@as_json
def requeue_jobs(job_ids: Sequence[UUID], as_json: bool) -> None:
    """Put running jobs back into the queue.

    Of queued jobs the messages are sent again.

    A job that is taken from its worker starts over, after SIMMER_HEARTBEAT_INTERVAL, in its next attempt; what the
    worker still writes comes to nothing.
    Jobs that have ended, that are in their last attempt, or whose output a reader may have seen, stay as they are; then
    the exit code is 1.
    """
    administration = container().administration
    _each(job_ids, administration.requeue, _requeued, lambda done: described(done.job) | {"sent": done.sent}, as_json)


def _each(
    job_ids: Iterable[UUID],
    act: Callable[[UUID], Any],
    words: Callable[[Any], str],
    shown: Callable[[Any], dict[str, Any]],
    as_json: bool,
) -> None:
    """Act on every job, whatever becomes of the others; say what was done, and leave with 1 if one refused."""
    results: list[dict[str, Any]] = []
    refused = False
    for job_id in job_ids:
        try:
            done = act(job_id)
        except (IllegalMoveError, NotFoundError) as error:
            refused = True
            note(f"Error: {public_id(job_id)}: {error.message}")
            continue
        results.append(shown(done))
        if not as_json:
            click.echo(f"{public_id(job_id)}  {words(done)}")
    if as_json:
        show_json(results)
    if refused:
        sys.exit(1)


def _requeued(done: "Requeued") -> str:
    if done.taken_from:
        return f"taken from {done.taken_from}, queued: the sweep sends it as soon as that worker has let go"
    return "its message was sent again" if done.sent else "the broker does not answer: the sweep will send its message"


def _row(job: "JobRecord") -> list[Cell]:
    started = job.started_at or job.ended_at
    ran = ((job.ended_at or job.now) - started).total_seconds() if started else None
    return [
        Cell(public_id(job.id)),
        Cell(job.status, STYLES[job.status]),
        Cell(job.model),
        Cell(span((job.now - job.created_at).total_seconds())),
        Cell(span(ran)),
        Cell(f"{job.attempt}/{job.max_attempts}"),
        Cell(job.queue),
        Cell(job.worker or "-"),
        Cell(job.error_code or job.incomplete_reason or "-"),
        Cell(job.key_name),
    ]


def _details(job: "JobRecord") -> list[tuple[str, Cell]]:
    place = f", place {job.position}" if job.position else ""
    tries = f"{job.attempt} of {job.max_attempts}, each up to {job.soft_time_limit:g} s, hard {job.time_limit:g} s"
    mode = "background" if job.background else "synchronous"
    lines = {
        "status": f"{job.status}{place}",
        "model": job.model,
        "key": f"{job.key_name}  {job.api_key_id}",
        "mode": mode + (", streams" if job.stream else "") + ("" if job.store else ", not stored"),
        "queue": job.queue + (f", message sent again {job.dispatches} times" if job.dispatches else ""),
        "attempts": tries,
        "worker": job.worker,
        **{name: _when(job, name) for name in _TIMES},
        "tokens": _tokens(job),
        "cut off by": job.incomplete_reason,
        "error": f"{job.error_code}: {job.error_message}" if job.error_code else None,
        "metadata": ", ".join(f"{name}={value}" for name, value in job.metadata.items()),
    }
    styled = {"status": STYLES[job.status], "error": "red"}
    return [(name, Cell(text, styled.get(name, ""))) for name, text in lines.items() if text]


_TIMES = {
    "accepted": "created_at",
    "started": "started_at",
    "ended": "ended_at",
    "start by": "queue_expires_at",
    "next message": "redispatch_at",
    "lease until": "lease_expires_at",
    "hard end": "run_deadline_at",
    "kept until": "expires_at",
}


def _when(job: "JobRecord", name: str) -> str | None:
    at = getattr(job, _TIMES[name])
    if at is None or (name == "start by" and job.status is not Status.QUEUED):
        return None
    ahead = (at - job.now).total_seconds()
    return f"{moment(at)}  " + (f"in {span(ahead)}" if ahead > 0 else f"{span(-ahead)} ago")


def _tokens(job: "JobRecord") -> str | None:
    if not job.usage:
        return None
    return f"{job.usage.get('total_tokens', '?')} ({job.usage.get('output_tokens', '?')} of them output)"
