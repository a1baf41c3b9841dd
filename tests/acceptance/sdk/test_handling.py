"""The official SDK handles what was created: cancels, deletes, pages through inputs, lists models."""

from uuid import uuid4

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.acceptance.sdk.answers import MODEL, until_running
from tests.acceptance.sdk.conftest import Connect, Workerless


def test_a_queued_response_is_cancelled(workerless: Workerless, connect: Connect) -> None:
    openai = connect(workerless.url, workerless.key())
    created = openai.responses.create(model=MODEL, input="nobody takes it", background=True)
    assert openai.responses.cancel(created.id).status == "cancelled"
    assert openai.responses.retrieve(created.id).status == "cancelled"


def test_a_running_response_is_cancelled_once(openai: OpenAI) -> None:
    created = openai.responses.create(model=MODEL, input="[[hang]]", background=True)
    until_running(openai, created.id)
    first = openai.responses.cancel(created.id)
    assert (first.id, first.status) == (created.id, "cancelled")
    assert openai.responses.cancel(created.id) == first


def test_a_completed_response_is_not_cancelled(openai: OpenAI) -> None:
    created = openai.responses.create(model=MODEL, input="done", background=True, extra_query={"wait": 30})
    with pytest.raises(BadRequestError, match="Cannot cancel a completed response\\."):
        openai.responses.cancel(created.id)
    assert openai.responses.retrieve(created.id).status == "completed"


def test_a_synchronous_response_is_not_cancelled(openai: OpenAI) -> None:
    response = openai.responses.create(model=MODEL, input="done")
    with pytest.raises(BadRequestError):
        openai.responses.cancel(response.id)


def test_a_deleted_response_is_gone(openai: OpenAI) -> None:
    response = openai.responses.create(model=MODEL, input="secret")
    openai.responses.delete(response.id)
    with pytest.raises(NotFoundError) as raised:
        openai.responses.retrieve(response.id)
    assert raised.value.code == "not_found"
    with pytest.raises(NotFoundError):
        openai.responses.delete(response.id)


def test_inputs_are_paged_through(openai: OpenAI) -> None:
    response = openai.responses.create(
        model=MODEL, input=[{"role": "user", "content": f"line {number}"} for number in range(45)]
    )
    oldest_first = list(openai.responses.input_items.list(response.id, limit=20, order="asc"))
    newest_first = list(openai.responses.input_items.list(response.id))
    texts = [item.to_dict()["content"] for item in oldest_first]
    assert texts == [[{"type": "input_text", "text": f"line {number}"}] for number in range(45)]
    assert newest_first == oldest_first[::-1]
    (last,) = openai.responses.input_items.list(response.id, order="asc", after=str(oldest_first[43].id))
    assert last == oldest_first[44]


def test_models_are_listed(openai: OpenAI) -> None:
    models = {model.id: model for model in openai.models.list()}
    assert {"quick", "once"} <= models.keys()
    assert openai.models.retrieve("once") == models["once"]
    assert openai.models.retrieve("gpt-4.1").object == "model"


def test_responses_are_listed(openai: OpenAI) -> None:
    mark = uuid4().hex
    made = [openai.responses.create(model=MODEL, input="listed", metadata={"mark": mark}) for _ in range(3)]
    query = {"metadata[mark]": mark, "limit": 2}
    page = openai.get("/responses", cast_to=object, options={"params": query})
    assert isinstance(page, dict)
    assert [entry["id"] for entry in page["data"]] == [made[2].id, made[1].id]
    assert page["has_more"] is True


def test_a_response_that_is_being_made_can_be_deleted(openai: OpenAI) -> None:
    created = openai.responses.create(model=MODEL, input="[[hang]]", background=True)
    until_running(openai, created.id)
    openai.responses.delete(created.id)
    with pytest.raises(NotFoundError):
        openai.responses.retrieve(created.id)
