"""What a job was asked, as pages of items."""

from collections.abc import Iterator
from typing import Literal
from uuid import UUID

from app.domain.errors import InvalidRequestError
from app.domain.events import item_id
from app.domain.jobs import Job
from app.domain.requests import JSON, JobRequest

FIRST_INPUT = 0x8000
"""The number in the id of the first item: those of the output begin with 0, and never get as far."""
_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def present_input_items(
    job: Job, request: JobRequest, *, limit: int = 20, order: Literal["asc", "desc"] = "desc", after: str | None = None
) -> JSON:
    """One page of all that the model was shown, newest first unless `order` says otherwise: the request's own inputs,
    and before them the conversation that `previous_response_id` continues, as OpenAI lists it.

    `after` is the id of the item before the page. Raises InvalidRequestError if the list has no such item.
    """
    items = list(_identified(job.id, request.conversation))
    if order == "desc":
        items.reverse()
    start = 0 if after is None else 1 + _index(items, after)
    page = [_present(item, own_id) for own_id, item in items[start : start + limit]]
    # OpenAI's schema knows no null here.
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": "", "last_id": ""}
    return {"object": "list", "data": page, **ends, "has_more": start + limit < len(items)}


def _index(items: list[tuple[str, JSON]], wanted: str) -> int:
    found = next((index for index, (own_id, _) in enumerate(items) if own_id == wanted), None)
    if found is None:
        message = "`after` must be the id of an item of this response."
        raise InvalidRequestError(message, code="invalid_value", param="after")
    return found


def _identified(job_id: UUID, items: tuple[JSON, ...]) -> Iterator[tuple[str, JSON]]:
    """Each item with its own id, or if it has none, or not for itself, with one that is the same in every call."""
    seen: set[str] = set()
    for index, item in enumerate(items, start=FIRST_INPUT):
        own_id = item.get("id")
        if not isinstance(own_id, str) or not own_id or own_id in seen:
            own_id = item_id(_PREFIXES.get(item["type"], "item"), job_id, index)
        seen.add(own_id)
        yield own_id, item


def _present(item: JSON, own_id: str) -> JSON:
    shown: JSON = {"status": "completed", **item, "id": own_id}
    if item["type"] == "message":
        shown["content"] = [_part(part) for part in item["content"]]
    elif isinstance(item.get("output"), list):
        shown["output"] = [_part(part) for part in item["output"]]
    return shown


def _part(part: JSON) -> JSON:
    if part["type"] == "input_image":
        return {"detail": "auto", **part}
    if part["type"] == "output_text":
        return {"annotations": [], "logprobs": [], **part}
    return part
