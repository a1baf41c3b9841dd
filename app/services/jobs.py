"""Submit, get, list, cancel, delete: what the owner of a job can do."""

import logging
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from app.db import endings, lookup, submission
from app.db.engine import Database
from app.db.jobs import owned
from app.domain.errors import (
    IdempotencyKeyReusedError,
    IllegalMoveError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    UnavailableError,
)
from app.domain.events import log_closer
from app.domain.ids import new_id
from app.domain.jobs import SYNC_QUEUE, Dispatch, Idempotency, Job, JobFilter
from app.domain.lifecycle import Status
from app.domain.ports import Dispatcher, Doorbell, EventLog
from app.domain.requests import JobRequest
from app.domain.webhooks import JobLane, JobWebhook
from app.services.admission import AdmissionService
from app.services.conversations import with_context
from app.services.job_webhooks import JobWebhooks
from app.services.keys import Caller
from app.services.news import tell
from app.settings import Settings
from app.upstreams.catalog import Catalog, Model

log = logging.getLogger(__name__)

INSERT_TRIES = 3
"""How often a key that is freed between two statements is tried anew."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job of a create. `replayed`: its idempotency key had been used before, and this is that job."""

    job: Job
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class JobService:
    """Every method acts for one API key, and sees that key's jobs alone."""

    database: Database
    dispatcher: Dispatcher
    doorbell: Doorbell
    event_log: EventLog
    catalog: Catalog
    admission: AdmissionService
    webhooks: JobWebhooks
    settings: Settings

    def submit(
        self,
        caller: Caller,
        request: JobRequest,
        idempotency: Idempotency | None = None,
        webhook: JobWebhook | None = None,
    ) -> Submitted:
        """Record the job, then tell a worker. Once this returns, no crash loses the job.

        Raises ModelNotFoundError, InvalidRequestError for what the model's entry does not allow, for a previous
        response that can't be continued and for a webhook that may not go where it wants to,
        IdempotencyKeyReusedError, RateLimitedError and OverloadedError for the caps, and UnavailableError if the
        database is down, or the DNS does not say where the webhook goes.
        """
        model = self.catalog.resolve(request.model)
        _check_tools(request, model)
        message = Dispatch(new_id(), _queue(request), model.limits(self.settings.default_limits))
        try:
            if webhook and idempotency and (earlier := self._repeated(caller.api_key_id, idempotency)):
                # Before the DNS is asked: it may have forgotten meanwhile what was accepted once.
                return earlier
            self.admission.admit(caller)
            lane = self.webhooks.lane(caller.api_key_id, webhook) if webhook else None
            submitted = self._add(caller.api_key_id, request, message, idempotency, lane)
        except (InvalidRequestError, OverloadedError, RateLimitedError):
            # What was accepted once is answered as it was, whatever would refuse it now.
            if idempotency and (earlier := self._repeated(caller.api_key_id, idempotency)):
                return earlier
            raise
        if not submitted.replayed:
            # After the commit: a worker that got the id before it would find no row.
            self.dispatcher.dispatch(message)
            log.info("job accepted", extra={"fields": {"job_id": message.job_id}})
        return submitted

    def get(self, api_key_id: UUID, job_id: UUID | None) -> Job:
        """The job. Raises NotFoundError, the same for an unknown, malformed (None), foreign or expired id."""
        with self.database.autocommit() as connection:
            return find(connection, api_key_id, job_id)

    def get_request(self, api_key_id: UUID, job_id: UUID | None) -> tuple[Job, JobRequest]:
        """The job and all that it was asked. Raises NotFoundError."""
        with self.database.autocommit() as connection:
            found = lookup.get_request(connection, job_id, api_key_id) if job_id else None
        if found is None:
            raise _not_found()
        return found

    def page(self, api_key_id: UUID, wanted: JobFilter) -> tuple[list[Job], bool]:
        """One page of the key's jobs, and whether there are more. Raises InvalidRequestError for an unknown cursor."""
        with self.database.transaction() as connection:
            for name, cursor in (("after", wanted.after), ("before", wanted.before)):
                if cursor and lookup.get(connection, cursor, api_key_id) is None:
                    message = f"`{name}` must be the id of a response of yours."
                    raise InvalidRequestError(message, code="invalid_value", param=name)
            return lookup.page(connection, api_key_id, wanted)

    def cancel(self, api_key_id: UUID, job_id: UUID | None) -> Job:
        """End a queued or running background job, and stop its worker; a cancelled job is returned as it is.

        Raises NotFoundError, and IllegalMoveError for a job that completed or failed, or that is synchronous.
        """
        job = self.get(api_key_id, job_id)
        if not job.background and not job.status.terminal:
            raise IllegalMoveError("Cannot cancel a synchronous response. Close the connection that waits for it.")
        if cancelled := self.abandon(api_key_id, job.id):
            return cancelled
        # It may have ended between the two statements.
        job = self.get(api_key_id, job_id)
        if job.status is not Status.CANCELLED:
            raise IllegalMoveError(f"Cannot cancel a {job.status} response.")
        return job

    def delete(self, api_key_id: UUID, job_id: UUID | None, *, active_too: bool = False) -> Job | None:
        """Delete a job that has ended, and return None. One that is active is cancelled, and returned as it is then,
        or deleted as well if `active_too`. Raises NotFoundError.
        """
        if job_id and (cancelled := self.abandon(api_key_id, job_id)) and not active_too:
            return cancelled
        job = self.get(api_key_id, job_id)
        with self.database.autocommit() as connection:
            endings.delete_ended(connection, job.id, api_key_id)
        log.info("job deleted", extra={"fields": {"job_id": job.id}})
        return None

    def abandon(self, api_key_id: UUID, job_id: UUID) -> Job | None:
        """Cancel the job if it is active, whatever its mode: nobody wants its result any more; None if it is not."""
        own = owned(job_id, api_key_id)
        with self.database.transaction() as connection:
            endings.keep_events(connection, own, events_of=log_closer(self.event_log))
            cancelled = endings.cancel(connection, own, retention=self.settings.retention)
        if cancelled is None:
            return None
        job, ended = cancelled
        log.info("job cancelled", extra={"fields": {"job_id": job.id}})
        tell(ended, self.doorbell, self.dispatcher)
        if job.worker:
            # Only a hint, too: the worker's heartbeat notices by itself.
            self.dispatcher.abort(job.id, job.worker)
        return job

    def _add(
        self,
        api_key_id: UUID,
        request: JobRequest,
        message: Dispatch,
        idempotency: Idempotency | None,
        webhook: JobLane | None,
    ) -> Submitted:
        # Who waits on the line for its result is not served by a later start.
        queue_timeout = self.settings.queue_timeout if request.background else self.settings.sync_timeout
        for _ in range(INSERT_TRIES):
            with self.database.autocommit() as connection:
                job = submission.add(
                    connection,
                    message,
                    api_key_id,
                    # At most one statement more, which need not see the same moment.
                    with_context(connection, api_key_id, request),
                    queue_timeout=min(queue_timeout, self.settings.queue_timeout),
                    redispatch_after=self.settings.redispatch_after,
                    idempotency=idempotency,
                    webhook=webhook,
                )
            if job:
                return Submitted(job)
            assert idempotency, "only a key can be taken"
            if earlier := self._repeated(api_key_id, idempotency):
                return earlier
        raise UnavailableError("The response of this idempotency key is just being deleted. Try again.")

    def _repeated(self, api_key_id: UUID, idempotency: Idempotency) -> Submitted | None:
        with self.database.autocommit() as connection:
            found = submission.find_repeated(connection, api_key_id, idempotency)
        if found is None:
            return None
        job, same = found
        if not same:
            raise IdempotencyKeyReusedError(
                "This idempotency key was used for another request. Use a new key for a new request."
            )
        return Submitted(job, replayed=True)


def _queue(request: JobRequest) -> str:
    if not request.background:
        return SYNC_QUEUE
    return request.service_tier if request.service_tier in {"priority", "flex"} else "default"


def _check_tools(request: JobRequest, model: Model) -> None:
    for index, tool in enumerate(request.tools):
        if tool["type"] != "function" and tool["type"] not in model.hosted_tools:
            raise InvalidRequestError(
                "This model serves no hosted tool of this type. Use function tools, or ask the administrator.",
                code="unsupported_parameter",
                param=f"tools[{index}].type",
            )


def find(connection: Connection, api_key_id: UUID, job_id: UUID | None) -> Job:
    """The key's job. Raises NotFoundError, the same for an unknown, malformed (None), foreign or expired id."""
    job = lookup.get(connection, job_id, api_key_id) if job_id else None
    if job is None:
        raise _not_found()
    return job


def _not_found() -> NotFoundError:
    return NotFoundError("There is no response with this id.")
