"""Run one job: claim it, call its model with no transaction open, settle it."""

import logging
import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection

from app.db import endings
from app.db import jobs as db
from app.db.engine import Database
from app.domain.deltas import Delta
from app.domain.encryption import SealedError
from app.domain.errors import ModelNotFoundError, UnavailableError
from app.domain.events import log_closer
from app.domain.jobs import WORKER_LOST, Completed, Ended, Failed, Failure, Outcome
from app.domain.output import Assembler
from app.domain.ports import Dispatcher, Doorbell, UpstreamError
from app.domain.tracing import note, traced
from app.services.leases import Lease, Leases
from app.services.news import tell
from app.services.stream_writer import StreamPublisher, StreamWriter
from app.settings import Settings
from app.upstreams.registry import UpstreamRegistry

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_PAUSE = 60.0
"""Seconds between two tries, unless the model server asks for more."""


class JobLostError(Exception):
    """The job is no longer this worker's."""


@dataclass(frozen=True, slots=True)
class ExecutionService:
    """A worker's side of a job's life. Every write names the attempt it belongs to, and a stale one writes nothing."""

    database: Database
    registry: UpstreamRegistry
    dispatcher: Dispatcher
    doorbell: Doorbell
    publisher: StreamPublisher
    leases: Leases
    settings: Settings

    @traced("claim")
    def claim(self, job_id: UUID, *, worker: str, abort: Callable[[], object]) -> Lease | None:
        """Take the job; None if there is nothing to do: a duplicate message, a cancelled or a purged job.

        `abort` is called from another thread or greenlet when the job stops being this worker's.
        Raises UnavailableError; then the job stays queued, and the sweep sends its message again.
        """
        claimed_at = self.leases.clock()
        try:
            with self.database.transaction() as connection:
                claim = db.claim(connection, job_id, worker=worker, lease=self.settings.lease)
        except SealedError:
            raise
        except UnavailableError:
            self.leases.note_failure()
            raise
        if claim is None:
            log.info("nothing to claim")
            return None
        log.info("job claimed", extra={"fields": {"attempt": claim.attempt}})
        if claim.request.stream:
            # Its readers wait for `response.in_progress`.
            self.doorbell.ring([job_id])
        return self.leases.hold(claim, abort, claimed_at=claimed_at)

    def perform(self, lease: Lease) -> None:
        """Call the model, again where that helps, and settle the job.

        Time limits, drain and abort arrive as exceptions from outside, and leave the job to the caller.
        """
        try:
            self.settle(lease, self._outcome(lease))
        except JobLostError:
            self.release(lease)
            log.info("stopped, the job is another's")

    @traced("settle")
    def settle(self, lease: Lease, outcome: Outcome) -> None:
        """Record how the job ended, if it is still this worker's."""
        events = lease.stream.packed() if lease.stream and lease.streamed else None
        settled = self._persist(
            lease,
            lambda connection: endings.settle(
                connection, lease.claim, outcome, retention=self.settings.retention, events=events
            ),
        )
        self.release(lease)
        # In any case: a settle whose reply was lost has ended the job too, and finds it ended when it is tried again.
        tell(settled or Ended([lease.claim.job_id]), self.doorbell, self.dispatcher)
        if settled and events:
            self.publisher.event_log.release(lease.claim.job_id)
        result = "completed" if isinstance(outcome, Completed) else outcome.failure.value
        log.info("job settled: %s" if settled else "result dropped, the job has ended or is another's: %s", result)

    def release(self, lease: Lease) -> None:
        """Let go of the job: it has ended, or is another's."""
        self.leases.release(lease)
        if lease.stream:
            self.publisher.forget(lease.stream)

    def hand_back(self, lease: Lease) -> None:
        """Queue the job again, for another worker, because this one is going away; one that has streamed output
        fails, since nobody can go on with it.

        Raises UnavailableError; then the sweep does it when the lease has run out.
        """
        if lease.streamed:
            self.settle(lease, WORKER_LOST)
            return
        with self.database.transaction() as connection:
            given_up, messages = endings.take_back(
                connection,
                db.held_by(lease.claim),
                retention=self.settings.retention,
                redispatch_after=self.settings.redispatch_after,
            )
        self.release(lease)
        tell(given_up, self.doorbell, self.dispatcher)
        for message in messages:
            self.dispatcher.dispatch(message)
            log.info("job handed back")

    def cancel(self, job_id: UUID) -> None:
        """End the job for an administrator who terminated or revoked its task."""
        this = db.jobs.id == job_id
        with self.database.transaction() as connection:
            endings.keep_events(connection, this, events_of=log_closer(self.publisher.event_log))
            cancelled = endings.cancel(connection, this, retention=self.settings.retention)
        if cancelled:
            tell(cancelled[1], self.doorbell, self.dispatcher)
            log.info("job cancelled by an administrator", extra={"fields": {"job_id": job_id}})

    def _outcome(self, lease: Lease) -> Outcome:
        """What the model server makes of the job, in as many attempts as help. Raises JobLostError."""
        started_at = self.leases.clock()
        for pause in _pauses(self.settings.retry_backoff):
            try:
                return self._call(lease)
            except UpstreamError as error:
                remaining = lease.claim.limits.soft_time_limit - (self.leases.clock() - started_at)
                wait = max(pause, error.retry_after or 0)
                if not self._worth_retrying(lease, error) or wait >= remaining:
                    return Failed(error.failure, error.message)
                log.info("upstream failed, trying again in %.1f s: %s", wait, error.failure)
                time.sleep(wait)
                self._start_attempt(lease)
        raise AssertionError("unreachable: the pauses never end")

    @traced("call model", "client")
    def _call(self, lease: Lease) -> Completed:
        claim = lease.claim
        note({"simmer.attempt": claim.attempt, "gen_ai.request.model": claim.request.model})
        try:
            route = self.registry.route(claim.request.model)
        except ModelNotFoundError as error:
            message = "The model is no longer served. Ask the administrator which models are."
            raise UpstreamError(Failure.UPSTREAM_ERROR, message) from error
        call = route.upstream.stream if claim.request.stream else route.upstream.complete
        answer = call(claim.request, model=route.model, job_id=claim.job_id, timeout=claim.limits.time_limit)
        return answer if isinstance(answer, Completed) else self._stream(lease, answer)

    def _stream(self, lease: Lease, deltas: Generator[Delta, None, None]) -> Completed:
        assembler = Assembler(lease.claim.job_id)
        lease.stream = StreamWriter(lease.claim.job_id)
        with closing(deltas):
            for delta in deltas:
                if events := assembler.feed(delta):
                    self._start_streaming(lease)
                    self.publisher.add(lease.stream, events)
        assert assembler.completed is not None, "an upstream ends with a Finish or raises"
        return assembler.completed

    def _start_streaming(self, lease: Lease) -> None:
        """Note that output reaches readers before it does: a crash must not have the job run again then."""
        if lease.streamed:
            return
        if not self._persist(lease, lambda connection: db.start_streaming(connection, lease.claim)):
            raise JobLostError
        lease.streamed = True

    def _worth_retrying(self, lease: Lease, error: UpstreamError) -> bool:
        # What readers have seen they can't unread: then the first error is the last.
        return error.retryable and not lease.streamed and lease.claim.attempt < lease.claim.limits.max_attempts

    def _start_attempt(self, lease: Lease) -> None:
        """Count the next try before it is made, so that a crash can't lose the count. Raises JobLostError."""
        lease.advancing = True
        try:
            attempt = self._persist(lease, lambda connection: db.start_attempt(connection, lease.claim))
            if attempt is None:
                raise JobLostError
            lease.claim = replace(lease.claim, attempt=attempt)
        finally:
            lease.advancing = False

    def _persist(self, lease: Lease, write: Callable[[Connection], T]) -> T:
        """Write through an outage of the database, for as long as the lease lasts."""
        for pause in _pauses(0.2):
            try:
                with self.database.autocommit() as connection:
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
        yield pause * random.uniform(0.5, 1)  # noqa: S311 - spreads load, guards nothing  # nosec B311
        pause = min(pause * 2, MAX_PAUSE)
