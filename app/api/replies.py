"""What a create and a get answer with, in either dialect: at once, after a wait, or when the job has ended."""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from flask import Response, jsonify, request
from werkzeug.http import generate_etag, quote_etag

from app.api.backpressure import aside
from app.api.context import caller, container, metrics
from app.api.dialect import Dialect
from app.api.json_provider import to_json
from app.api.queries import MAX_WAIT, GetQuery, ListQuery
from app.api.sse import stream
from app.api.webhooks.schemas import Webhook
from app.domain.errors import InvalidRequestError, SynchronousError
from app.domain.ids import parse_public_id, public_id
from app.domain.jobs import Failure, Idempotency, Job
from app.domain.lifecycle import Status
from app.domain.requests import JSON, JobRequest

POLL_PAUSES = ((30, 2), (300, 5))
"""The contract's advice: below this age in seconds, poll after so many."""
LAST_POLL_PAUSE = 30

_PREFER_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=[,;]|$)', re.IGNORECASE)
_IDEMPOTENCY_KEY = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,255}")


def create(
    dialect: Dialect,
    job_request: JobRequest,
    webhook: Webhook | None,
    asked: Callable[[], JSON],
    wait: float | None,
) -> Response:
    """Record a job, and answer as its mode wants: at once, with its stream, or when it has ended.

    `asked` gives what the client sent; it is only called for an idempotency key.
    """
    services = container()
    own = webhook.to_job_webhook() if webhook else None
    submitted = services.jobs.submit(caller(), job_request, _idempotency(dialect, asked), own)
    job = submitted.job
    if job.stream:
        response = stream(dialect, job, cancel_when_dropped=not job.background)
    elif not job.background:
        response = _synchronous(dialect, job)
    else:
        response = _waited(dialect, job.id, wait) or _show(dialect, job)
    if submitted.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def get(dialect: Dialect, response_id: str, query: GetQuery) -> Response:
    """One job, or its stream."""
    job_id = parse_public_id(response_id)
    if query.stream:
        job = container().streams.open(caller().api_key_id, job_id)
        return stream(dialect, job, -1 if query.starting_after is None else query.starting_after)
    if query.starting_after is not None:
        message = "`starting_after` is for streams. Send `stream=true` with it."
        raise InvalidRequestError(message, code="invalid_value", param="starting_after")
    if response := _waited(dialect, job_id, query.wait):
        return response
    return _show(dialect, container().jobs.get(caller().api_key_id, job_id))


def list_page(dialect: Dialect, query: ListQuery) -> Response:
    """A page of the caller's jobs."""
    jobs, has_more = container().jobs.page(caller().api_key_id, query.to_filter())
    data = [dialect.present(job) for job in jobs]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return jsonify({"object": "list", "data": data, **ends, "has_more": has_more})


def _waited(dialect: Dialect, job_id: UUID | None, wait: float | None) -> Response | None:
    """The job as it ended, or as it is after `wait` seconds (of the query, or of the Prefer header); None if nobody
    wants to wait.
    """
    preferred = _preferred_wait() if wait is None else None
    seconds = wait or preferred
    if not seconds or job_id is None:
        return None
    with aside(), metrics().waiting():
        job = container().waiting.until_ended(caller().api_key_id, job_id, seconds)
    response = _show(dialect, job)
    if preferred:
        response.headers["Preference-Applied"] = f"wait={preferred}"
    return response


def _show(dialect: Dialect, job: Job) -> Response:
    """The job, unless the client has it already as it is."""
    body, headers = shown(dialect, job)
    response = Response(body, headers=headers)
    if "If-None-Match" in request.headers:
        response.make_conditional(request)
    return response


def shown(dialect: Dialect, job: Job) -> tuple[bytes, list[tuple[str, str]]]:
    """A body that shows the job, and its headers; while it has not ended they say when to ask again."""
    body = to_json(dialect.present(job))
    headers = [("Content-Type", "application/json"), ("ETag", quote_etag(generate_etag(body)))]
    if not job.status.terminal:
        pause = _poll_pause(job)
        headers += [("Retry-After", str(pause)), ("OpenAI-Poll-After-Ms", str(pause * 1000))]
    return body, headers


def _synchronous(dialect: Dialect, job: Job) -> Response:
    """The job when it has ended. Raises SynchronousError if it failed, or takes longer than the setting allows."""
    timeout = container().settings.sync_timeout
    with aside(), metrics().waiting():
        job = container().waiting.until_ended(job.api_key_id, job.id, timeout, on_the_line=True)
    if not job.status.terminal:
        message = f"The response is not finished yet and goes on. Get it by its id, {public_id(job.id)}."
        raise SynchronousError(message, code="response_not_finished", job_id=public_id(job.id))
    if job.status is Status.FAILED:
        failure = Failure(job.error_code or Failure.SERVER_ERROR)
        raise SynchronousError(job.error_message or "", code=failure.value, job_id=public_id(job.id))
    return _show(dialect, job)


def _poll_pause(job: Job) -> int:
    age = (datetime.now(UTC) - job.created_at).total_seconds()
    return next((pause for limit, pause in POLL_PAUSES if age < limit), LAST_POLL_PAUSE)


def _preferred_wait() -> int | None:
    """Seconds of `Prefer: wait=N` (RFC 7240, section 4.3), cut to MAX_WAIT; a preference may be ignored, not wrong."""
    match = _PREFER_WAIT.search(request.headers.get("Prefer", ""))
    return min(int(match[1]), MAX_WAIT) if match else None


def _idempotency(dialect: Dialect, asked: Callable[[], JSON]) -> Idempotency | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        message = "An idempotency key has 1 to 255 characters, none of them a control character."
        raise InvalidRequestError(message, code="invalid_idempotency_key")
    meant = json.dumps([dialect.name, asked()], sort_keys=True).encode()
    return Idempotency(key, hashlib.sha256(meant).digest())
