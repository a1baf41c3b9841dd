"""The routes of the Freddy dialect."""

from flask import Blueprint, Response, jsonify

from app.api import replies
from app.api.context import caller, container
from app.api.dialect import Dialect
from app.api.freddy.presenter import present, present_deleted
from app.api.freddy.schemas import CreateResponse
from app.api.openapi import declarations as declared
from app.api.openapi import examples
from app.api.openapi.shapes import events, freddy
from app.api.operation import operation
from app.api.queries import CreateQuery, GetQuery, ListQuery
from app.domain.ids import parse_public_id

FREDDY = Dialect("freddy", present)
ANSWERS = declared.DialectAnswers(
    present, freddy.FreddyResponse, freddy.FreddyList, events.FreddyStreamEvent, freddy.FreddyDeletion
)
blueprint = Blueprint("freddy", __name__, url_prefix="/v1/model/response")


@blueprint.post("")
@operation(
    "responses:write",
    bucket="create",
    headers=declared.CREATE_HEADERS,
    examples=examples.FREDDY_CREATES,
    answers=ANSWERS.created,
    errors=declared.CREATE_ERRORS,
)
def create(query: CreateQuery, body: CreateResponse) -> Response:
    """Create a response.

    With `background: true` the answer comes at once, and the response goes on in a queue. Without, it comes when the
    response has ended. With `stream: true` it is the stream of the response's events, in either mode.
    """
    return replies.create(FREDDY, body.to_job_request(), body.webhook, body.given, query.wait)


@blueprint.get("")
@operation("responses:read", answers=ANSWERS.listed)
def list_(query: ListQuery) -> Response:
    """List your responses, those of both dialects."""
    return replies.list_page(FREDDY, query)


@blueprint.get("/<response_id>")
@operation("responses:read", headers=declared.GET_HEADERS, answers=ANSWERS.current, errors=declared.GET_ERRORS)
def get(response_id: str, query: GetQuery) -> Response:
    """Get a response, or its stream.

    With `wait=N` the answer comes when the response has ended, or after N seconds. With `stream=true` it is the
    stream from its beginning, or from after the event that `starting_after` names; on any server, as long as the
    result is kept.
    """
    return replies.get(FREDDY, response_id, query)


@blueprint.post("/<response_id>/cancel")
@operation("responses:write", answers=ANSWERS.cancelled, errors=declared.CANCEL_ERRORS)
def cancel(response_id: str) -> Response:
    """Cancel a background response.

    It ends at once, and the model server is told to stop. A response that is cancelled already stays as it is.
    """
    return jsonify(present(container().jobs.cancel(caller().api_key_id, parse_public_id(response_id))))


@blueprint.delete("/<response_id>")
@operation("responses:write", answers=ANSWERS.deleted, errors=("not_found",))
def delete(response_id: str) -> Response:
    """Cancel a response that is active; delete one that has ended."""
    job = container().jobs.delete(caller().api_key_id, parse_public_id(response_id))
    return jsonify(present(job) if job else present_deleted(response_id))
