"""The routes of the Freddy dialect."""

import re
from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from app.api.body import read_object
from app.api.context import caller, container, requires
from app.api.freddy.presenter import present, present_deleted
from app.api.freddy.schemas import CreateResponse, ListQuery
from app.api.validation import validate
from app.domain.errors import InvalidRequestError
from app.domain.ids import parse_public_id

blueprint = Blueprint("freddy", __name__, url_prefix="/v1/model/response")

_METADATA_PARAMETER = re.compile(r"metadata\[(.*)\]", re.DOTALL)


@blueprint.post("")
@requires("responses:write")
def create() -> Response:
    """Record a job, and answer at once with its id."""
    body = read_object(request, max_depth=container().settings.max_json_depth)
    job_request = validate(CreateResponse, body).to_job_request()
    return jsonify(present(container().jobs.submit(caller().api_key_id, job_request)))


@blueprint.get("")
@requires("responses:read")
def list_() -> Response:
    """A page of the caller's responses."""
    wanted = validate(ListQuery, _query()).to_filter()
    jobs, has_more = container().jobs.page(caller().api_key_id, wanted)
    data = [present(job) for job in jobs]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return jsonify({"object": "list", "data": data, **ends, "has_more": has_more})


@blueprint.get("/<response_id>")
@requires("responses:read")
def get(response_id: str) -> Response:
    """One response, with its output once it has completed."""
    return jsonify(present(container().jobs.get(caller().api_key_id, parse_public_id(response_id))))


@blueprint.post("/<response_id>/cancel")
@requires("responses:write")
def cancel(response_id: str) -> Response:
    """End a queued or running response for good."""
    return jsonify(present(container().jobs.cancel(caller().api_key_id, parse_public_id(response_id))))


@blueprint.delete("/<response_id>")
@requires("responses:write")
def delete(response_id: str) -> Response:
    """Cancel a response that is active; delete one that has ended."""
    job = container().jobs.delete(caller().api_key_id, parse_public_id(response_id))
    return jsonify(present(job) if job else present_deleted(response_id))


def _arguments() -> Iterable[tuple[str, list[str]]]:
    try:
        return request.args.lists()
    except UnicodeDecodeError:
        raise InvalidRequestError("The query must be percent-encoded UTF-8.", code="invalid_encoding") from None


def _query() -> dict[str, Any]:
    """The query's parameters, `metadata[key]=value` gathered under `metadata`. Raises InvalidRequestError."""
    found: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for name, values in _arguments():
        if len(values) > 1:
            raise InvalidRequestError("Give each parameter once.", code="invalid_value")
        if "\0" in name + values[0]:
            raise InvalidRequestError("Text must not hold NUL.", code="invalid_unicode")
        match = _METADATA_PARAMETER.fullmatch(name)
        target, key = (metadata, match[1]) if match else (found, name)
        target[key] = values[0]
    return {**found, "metadata": metadata} if metadata else found
