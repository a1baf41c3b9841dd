"""The routes of the OpenAI dialect."""

from flask import Blueprint, Response, jsonify

from app.api import replies
from app.api.context import caller, container
from app.api.dialect import Dialect
from app.api.openai.input_items import present_input_items
from app.api.openai.presenter import present, present_deleted, present_model, present_models
from app.api.openai.schemas import CreateResponse
from app.api.openapi import declarations as declared
from app.api.openapi import examples
from app.api.openapi.shapes import answers, events, openai
from app.api.operation import Answer, operation
from app.api.queries import CreateQuery, GetQuery, InputItemsQuery, ListQuery
from app.domain.ids import parse_public_id

OPENAI = Dialect("openai", present)
ANSWERS = declared.DialectAnswers(present, openai.Response, openai.ResponseList, events.StreamEvent)
blueprint = Blueprint("openai", __name__, url_prefix="/v1")


@blueprint.post("/responses")
@operation(
    "responses:write",
    bucket="create",
    headers=declared.CREATE_HEADERS,
    examples=examples.OPENAI_CREATES,
    answers=ANSWERS.created,
    errors=declared.CREATE_ERRORS,
)
def create(query: CreateQuery, body: CreateResponse) -> Response:
    """Create a response.

    With `background: true` the answer comes at once, and the response goes on in a queue. Without, it comes when the
    response has ended. With `stream: true` it is the stream of the response's events, in either mode.
    """
    return replies.create(OPENAI, body.to_job_request(), body.webhook, body.given, query.wait)


@blueprint.get("/responses")
@operation("responses:read", answers=ANSWERS.listed)
def list_(query: ListQuery) -> Response:
    """List your responses, those of both dialects."""
    return replies.list_page(OPENAI, query)


@blueprint.get("/responses/<response_id>")
@operation("responses:read", headers=declared.GET_HEADERS, answers=ANSWERS.current, errors=declared.GET_ERRORS)
def get(response_id: str, query: GetQuery) -> Response:
    """Get a response, or its stream.

    With `wait=N` the answer comes when the response has ended, or after N seconds. With `stream=true` it is the
    stream from its beginning, or from after the event that `starting_after` names; on any server, as long as the
    result is kept.
    """
    return replies.get(OPENAI, response_id, query)


@blueprint.post("/responses/<response_id>/cancel")
@operation("responses:write", answers=ANSWERS.cancelled, errors=declared.CANCEL_ERRORS)
def cancel(response_id: str) -> Response:
    """Cancel a background response.

    It ends at once, and the model server is told to stop. A response that is cancelled already stays as it is.
    """
    return jsonify(present(container().jobs.cancel(caller().api_key_id, parse_public_id(response_id))))


@blueprint.delete("/responses/<response_id>")
@operation("responses:write", answers=ANSWERS.deleted, errors=("not_found",))
def delete(response_id: str) -> Response:
    """Delete a response.

    One that is active is cancelled first.
    """
    container().jobs.delete(caller().api_key_id, parse_public_id(response_id), active_too=True)
    return jsonify(present_deleted(response_id))


@blueprint.get("/responses/<response_id>/input_items")
@operation(
    "responses:read",
    answers={200: Answer("A page.", openai.InputItemList)},
    errors=("not_found",),
)
def input_items(response_id: str, query: InputItemsQuery) -> Response:
    """List what the model was shown.

    The items of the chain that `previous_response_id` names come first.
    """
    job, asked = container().jobs.get_request(caller().api_key_id, parse_public_id(response_id))
    return jsonify(present_input_items(job, asked, limit=query.limit, order=query.order, after=query.after))


@blueprint.get("/models")
@operation("responses:read", answers={200: Answer("The models.", answers.ModelList)})
def models() -> Response:
    """List the models.

    Those that only a pattern of the models file serves are not among them.
    """
    return jsonify(present_models(container().catalog.public_names()))


@blueprint.get("/models/<path:name>")
@operation("responses:read", answers={200: Answer("The model.", answers.Model)}, errors=("model_not_found",))
def model(name: str) -> Response:
    """Get a model, also one that only a pattern serves."""
    container().catalog.resolve(name)
    return jsonify(present_model(name))
