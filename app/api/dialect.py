"""What the two dialects have to say for themselves; everything else they share."""

from dataclasses import dataclass
from typing import Protocol

from app.domain.jobs import Job
from app.domain.requests import JSON


class Presenter(Protocol):
    """Shows a job as the dialect does."""

    def __call__(self, job: Job, *, stage: int | None = None) -> JSON:
        """The job now, or as it was at an earlier `stage`."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One of the two ways to speak of a job."""

    name: str
    present: Presenter
