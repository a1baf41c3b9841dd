"""The schema checker itself: it finds what is wrong, in either document, and allows no more than it says."""

from copy import deepcopy
from typing import Any

import pytest

from tests import schemas

JSON = dict[str, Any]
PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "sequence_number": 3}
DELTA = {"type": "response.output_text.delta", **PLACE, "delta": "a", "logprobs": []}
CONTENT = {"type": "output_text", "text": "a", "annotations": [], "logprobs": []}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [CONTENT]}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}


def added(item: JSON) -> JSON:
    return {"type": "response.output_item.added", "output_index": 0, "sequence_number": 3, "item": item}


@pytest.mark.parametrize("event", [DELTA, added(MESSAGE), added(SEARCH)])
def test_right_events(event: JSON) -> None:
    assert schemas.event_errors(event) == []


@pytest.mark.parametrize("missing", [name for name in DELTA if name not in {"type", "logprobs"}])
def test_a_missing_key_is_found_in_both_documents(missing: str) -> None:
    event = {name: value for name, value in DELTA.items() if name != missing}
    assert [(error.split()[0], missing in error) for error in schemas.event_errors(event)] == [
        ("openai", True),
        ("open", True),
    ]


def test_the_place_of_a_mistake_deep_inside_is_named() -> None:
    wrong: JSON = deepcopy(MESSAGE)
    wrong["content"][0]["text"] = 3
    found = schemas.event_errors(added(wrong))
    assert [error.split(": ")[1:] for error in found] == 2 * [["$.item.content[0].text", "3 is not of type 'string'"]]


def test_an_event_that_nobody_knows_is_wrong() -> None:
    assert schemas.event_errors({**DELTA, "type": "response.odd"}) == [
        "openai: no event response.odd",
        "open: no event response.odd",
    ]


def test_a_schema_that_is_not_there_is_no_pass() -> None:
    with pytest.raises(AssertionError, match="has no Odd"):
        schemas.errors("open", "Odd", {})


def test_each_contradiction_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"type": "json_schema", "name": "n", "description": None, "schema": {"type": "object"}, "strict": True}
    assert schemas.errors("open", "JsonSchemaResponseFormat", asked) == []
    monkeypatch.setitem(schemas.CONTRADICTIONS, "open", [])
    assert schemas.errors("open", "JsonSchemaResponseFormat", asked)
    assert schemas.event_errors(added(SEARCH))
