"""`previous_response_id`: a new request goes on where an earlier response ended."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection

from app.db import lookup
from app.domain.errors import InvalidRequestError
from app.domain.ids import parse_public_id
from app.domain.lifecycle import Status
from app.domain.requests import JobRequest

MAX_ITEMS = 10_000
"""Items of a whole conversation."""


def with_context(connection: Connection, api_key_id: UUID, request: JobRequest) -> JobRequest:
    """The request with everything that was said before it, copied: a purge of the earlier response won't break it.

    Raises InvalidRequestError if the previous response is not there, not completed, or the conversation is too long.
    """
    if request.previous_response_id is None:
        return request
    earlier_id = parse_public_id(request.previous_response_id)
    found = lookup.get_request(connection, earlier_id, api_key_id) if earlier_id else None
    if found is None:
        raise _refused("There is no such previous response, or it has expired.", "previous_response_not_found")
    job, earlier = found
    if job.status is not Status.COMPLETED:
        raise _refused("The previous response is not completed. Wait until it is.", "previous_response_not_completed")
    context = (*earlier.conversation, *(job.output or ()))
    if len(context) + len(request.inputs) > MAX_ITEMS:
        raise _refused(f"A conversation may have {MAX_ITEMS} items. Start a new one.", "array_too_long")
    return replace(request, context=context)


def _refused(message: str, code: str) -> InvalidRequestError:
    return InvalidRequestError(message, code=code, param="previous_response_id")
