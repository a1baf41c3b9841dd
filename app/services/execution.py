"""Run one job: claim it, call its model with no transaction open, settle it."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection

from app.db import jobs as db
from app.db.engine import Database
from app.domain.errors import ModelNotFoundError, UnavailableError
from app.domain.jobs import Completed, Failed, Failure, Outcome
from app.domain.ports import Dispatcher, UpstreamError
from app.services.leases import Lease, Leases
from app.settings import Settings
from app.upstreams.registry import UpstreamRegistry

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_PAUSE = 60.0
"""Seconds between two tries, unless the model server asks for more."""


@dataclass(frozen=True, slots=True)
class ExecutionService:
    """A worker's side of a job's life. Every write names the attempt it belongs to, and a stale one writes nothing."""

    database: Database
    registry: UpstreamRegistry
    dispatcher: Dispatcher
    leases: Leases
    settings: Settings

    def claim(self, job_id: UUID, *, worker: str, abort: Callable[[], object]) -> Lease | None:
        """Take the job; None if there is nothing to do: a duplicate message, a cancelled or a purged job.

        `abort` is called from another thread or greenlet when the job stops being this worker's.
        Raises UnavailableError; then the job stays queued, and the sweep sends its message again.
        """
        claimed_at = self.leases.clock()
        with self.database.transaction() as connection:
            claim = db.claim(connection, job_id, worker=worker, lease=self.settings.lease)
        if claim is None:
            log.info("nothing to claim")
            return None
        log.info("job claimed", extra={"fields": {"attempt": claim.attempt}})
        return self.leases.hold(claim, abort, claimed_at=claimed_at)

    def perform(self, lease: Lease) -> None:
        """Call the model, again where that helps, and settle the job.

        Time limits, drain and abort arrive as exceptions from outside, and leave the job to the caller.
        """
        started_at = self.leases.clock()
        for pause in _pauses(self.settings.retry_backoff):
            try:
                outcome: Outcome = self._call(lease)
                break
            except UpstreamError as error:
                remaining = lease.claim.limits.soft_time_limit - (self.leases.clock() - started_at)
                wait = max(pause, error.retry_after or 0)
                if not self._worth_retrying(lease, error) or wait >= remaining:
                    outcome = Failed(Failure(error.failure), error.message)
                    break
                log.info("upstream failed, trying again in %.1f s: %s", wait, error.failure)
                time.sleep(wait)
                if not self._start_attempt(lease):
                    return
        self.settle(lease, outcome)

    def settle(self, lease: Lease, outcome: Outcome) -> None:
        """Record how the job ended, if it is still this worker's."""
        retention = self.settings.retention
        settled = self._persist(
            lease, lambda connection: db.settle(connection, lease.claim, outcome, retention=retention)
        )
        self.leases.release(lease)
        result = "completed" if isinstance(outcome, Completed) else outcome.failure.value
        log.info("job settled: %s" if settled else "result dropped, the job is another's: %s", result)

    def hand_back(self, lease: Lease) -> None:
        """Queue the job again, for another worker, because this one is going away.

        Raises UnavailableError; then the sweep does it when the lease has run out.
        """
        with self.database.transaction() as connection:
            messages = db.take_back(
                connection,
                db.held_by(lease.claim),
                retention=self.settings.retention,
                redispatch_after=self.settings.redispatch_after,
            )
        self.leases.release(lease)
        for message in messages:
            self.dispatcher.dispatch(message.job_id, message.limits, message.queue)
            log.info("job handed back")

    def cancel(self, job_id: UUID) -> None:
        """End the job for an administrator who terminated or revoked its task."""
        with self.database.transaction() as connection:
            job = db.cancel(connection, db.jobs.id == job_id, retention=self.settings.retention)
        if job:
            log.info("job cancelled by an administrator", extra={"fields": {"job_id": job_id}})

    def _call(self, lease: Lease) -> Completed:
        claim = lease.claim
        try:
            route = self.registry.route(claim.request.model)
        except ModelNotFoundError as error:
            message = "The model is no longer served. Ask the administrator which models are."
            raise UpstreamError(Failure.UPSTREAM_ERROR, message) from error
        return route.upstream.complete(
            claim.request, model=route.model, job_id=claim.job_id, timeout=claim.limits.time_limit
        )

    def _worth_retrying(self, lease: Lease, error: UpstreamError) -> bool:
        return error.retryable and lease.claim.attempt < lease.claim.limits.max_attempts

    def _start_attempt(self, lease: Lease) -> bool:
        """Count the next try before it is made, so that a crash can't lose the count."""
        lease.advancing = True
        try:
            attempt = self._persist(lease, lambda connection: db.start_attempt(connection, lease.claim))
            if attempt is None:
                self.leases.release(lease)
                return False
            lease.claim = replace(lease.claim, attempt=attempt)
            return True
        finally:
            lease.advancing = False

    def _persist(self, lease: Lease, write: Callable[[Connection], T]) -> T:
        """Write through an outage of the database, for as long as the lease lasts."""
        for pause in _pauses(0.2):
            try:
                with self.database.transaction() as connection:
                    return write(connection)
            except UnavailableError:
                if self.leases.expired(lease):
                    raise
                time.sleep(min(pause, 5.0))
        raise AssertionError("unreachable: the pauses never end")


def _pauses(first: float) -> Iterator[float]:
    """Seconds to wait between tries: doubling up to MAX_PAUSE, each with up to half of it taken off at random."""
    pause = first
    while True:
        yield pause * random.uniform(0.5, 1)  # noqa: S311 - spreads load, guards nothing
        pause = min(pause * 2, MAX_PAUSE)
