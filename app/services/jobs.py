"""Submit, get, list, cancel, delete: what the owner of a job can do."""

import logging
from dataclasses import dataclass
from uuid import UUID

from app.db import jobs as db
from app.db.engine import Database
from app.domain.errors import IllegalMoveError, InvalidRequestError, NotFoundError
from app.domain.ids import new_id
from app.domain.jobs import JOB_QUEUES, Job, JobFilter, JobRequest
from app.domain.lifecycle import Status
from app.domain.ports import Dispatcher
from app.settings import Settings
from app.upstreams.catalog import Catalog

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobService:
    """Every method acts for one API key, and sees that key's jobs alone."""

    database: Database
    dispatcher: Dispatcher
    catalog: Catalog
    settings: Settings

    def submit(self, api_key_id: UUID, request: JobRequest) -> Job:
        """Record the job, then tell a worker. Once this returns, no crash loses the job.

        Raises ModelNotFoundError, and UnavailableError if the database is down.
        """
        limits = self.catalog.resolve(request.model).limits(self.settings.default_limits)
        queue = JOB_QUEUES[0]
        with self.database.transaction() as connection:
            job = db.add(
                connection,
                new_id(),
                api_key_id,
                request,
                limits,
                queue=queue,
                queue_timeout=self.settings.queue_timeout,
                redispatch_after=self.settings.redispatch_after,
            )
        # After the commit: a worker that got the id before it would find no row.
        self.dispatcher.dispatch(job.id, limits, queue)
        log.info("job accepted", extra={"fields": {"job_id": job.id}})
        return job

    def get(self, api_key_id: UUID, job_id: UUID | None) -> Job:
        """The job. Raises NotFoundError, the same for an unknown, malformed (None), foreign or expired id."""
        with self.database.transaction() as connection:
            job = db.get(connection, job_id, api_key_id) if job_id else None
        if job is None:
            raise NotFoundError("There is no response with this id.")
        return job

    def page(self, api_key_id: UUID, wanted: JobFilter) -> tuple[list[Job], bool]:
        """One page of the key's jobs, and whether there are more. Raises InvalidRequestError for an unknown cursor."""
        with self.database.transaction() as connection:
            for name, cursor in (("after", wanted.after), ("before", wanted.before)):
                if cursor and db.get(connection, cursor, api_key_id) is None:
                    raise InvalidRequestError(f"`{name}` must be the id of a response of yours.", param=name)
            return db.page(connection, api_key_id, wanted)

    def cancel(self, api_key_id: UUID, job_id: UUID | None) -> Job:
        """End a queued or running job for good, and stop its worker; a cancelled job is returned as it is.

        Raises NotFoundError, and IllegalMoveError for a job that completed or failed.
        """
        if job_id and (cancelled := self._cancel_active(api_key_id, job_id)):
            return cancelled
        job = self.get(api_key_id, job_id)
        if job.status is not Status.CANCELLED:
            raise IllegalMoveError(f"Cannot cancel a {job.status} response.")
        return job

    def delete(self, api_key_id: UUID, job_id: UUID | None) -> Job | None:
        """Cancel the job if it is active, and return it; delete it if it has ended, and return None.

        Raises NotFoundError.
        """
        if job_id and (cancelled := self._cancel_active(api_key_id, job_id)):
            return cancelled
        job = self.get(api_key_id, job_id)
        with self.database.transaction() as connection:
            db.delete_ended(connection, job.id, api_key_id)
        log.info("job deleted", extra={"fields": {"job_id": job.id}})
        return None

    def _cancel_active(self, api_key_id: UUID, job_id: UUID) -> Job | None:
        with self.database.transaction() as connection:
            job = db.cancel(connection, db.owned(job_id, api_key_id), retention=self.settings.retention)
        if job:
            log.info("job cancelled", extra={"fields": {"job_id": job.id}})
        if job and job.worker:
            # Only a hint, too: the worker's heartbeat notices by itself.
            self.dispatcher.abort(job.id, job.worker)
        return job
