"""`simmer jobs tail`: follow one job until it ends."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import click

from app.commands.access import BAD_END, JOB_ID, as_json, container, interruptible
from app.commands.content import answer_of, described
from app.commands.terminal import note, show_json, span, visible
from app.domain.ids import public_id
from app.domain.lifecycle import Status
from app.domain.requests import JSON

if TYPE_CHECKING:
    from app.db.administration import JobRecord
    from app.services.administration import AdministrationService

TEXT = "response.output_text.delta"


@click.command()
@click.argument("job_id", metavar="ID", type=JOB_ID)
@as_json
def tail(job_id: UUID, as_json: bool) -> None:
    """Follow a job until it ends.

    Its status goes to stderr, its text to stdout, as it streams or when it is there.

    With --json every change and every event of its stream is a line. Exit code 3 if the job failed or was cancelled.
    """
    administration = container().administration
    reader = _Reader(administration, as_json)
    with interruptible(lambda: "The job goes on."):
        for told in administration.follow(job_id):
            reader.take(told)
    if reader.last and reader.last.status is not Status.COMPLETED:
        sys.exit(BAD_END)


@dataclass(slots=True)
class _Reader:
    administration: "AdministrationService"
    as_json: bool
    last: "JobRecord | None" = None
    open_line: bool = False
    """Text stands on stdout whose line has not ended."""

    def take(self, told: "JobRecord | JSON") -> None:
        if not isinstance(told, dict):
            self._status(told)
        elif self.as_json:
            show_json(told, indent=None)
        elif told.get("type") == TEXT:
            self._print(str(told.get("delta", "")))

    def _status(self, job: "JobRecord") -> None:
        self.last = job
        if self.as_json:
            show_json({"type": "status", **described(job)}, indent=None)
            return
        if job.status is Status.COMPLETED and not job.stream:
            self._print(answer_of(self.administration.content(job.id).output or ()))
        if self.open_line:
            click.echo()
        note(_words(job))

    def _print(self, text: str) -> None:
        click.echo(visible(text, lines=True), nl=False)
        if text:
            self.open_line = not text.endswith("\n")


def _words(job: "JobRecord") -> str:
    said = f"{public_id(job.id)} {job.status}"
    if job.status is Status.QUEUED:
        return said + (f", place {job.position} in {job.queue}" if job.position else "")
    if job.status is Status.IN_PROGRESS:
        return f"{said}, attempt {job.attempt} of {job.max_attempts} at {job.worker}"
    took = span(((job.ended_at or job.now) - job.created_at).total_seconds())
    why = f": {job.error_code}. {job.error_message}" if job.error_code else ""
    return f"{said} after {took}{why}"
