"""A background stream that is dropped after any of its events goes on exactly there."""

from collections.abc import Iterable
from itertools import islice
from typing import Any
from uuid import uuid4

import pytest
from openai import OpenAI, omit
from openai.types.responses import Response, ResponseStreamEvent

from tests.acceptance.sdk.answers import MODEL, TEXT, shape, until_ended
from tests.processes import wait_until

PROMPT = "[[tokens 3 rate=25]]"
EVENTS = 12
"""So many are in the stream of such an answer, if no two deltas come so close together that they are one."""


def test_nothing_is_lost_or_repeated_while_it_runs(openai: OpenAI) -> None:
    for kept in range(1, EVENTS + 1):
        with openai.responses.create(model=MODEL, input=PROMPT, stream=True, background=True) as stream:
            before = list(islice(stream, kept))
        created = before[0]
        assert created.type == "response.created"
        after = _from(openai, created.response.id, before[-1].sequence_number)
        assert shape([*before, *after]) == TEXT
        assert _plain([*before, *after]) == _plain(_from(openai, created.response.id))


@pytest.mark.parametrize(
    "prompt",
    [
        PROMPT,
        "[[reasoning First this.]] so",
        '[[tool weather {"city": "Bern"}]]',
        "[[refusal I will not.]]",
        "[[tokens 2]] [[finish length]]",
        "[[tokens 6]] [[stream-error]]",
    ],
    ids=["text", "reasoning", "function", "refusal", "incomplete", "failed"],
)
def test_nothing_is_lost_or_repeated_afterwards(openai: OpenAI, prompt: str) -> None:
    with openai.responses.create(model="once", input=prompt, stream=True, background=True) as stream:
        live = list(stream)
    created = live[0]
    assert created.type == "response.created"
    for event in live:
        rest = _from(openai, created.response.id, event.sequence_number)
        assert _plain(rest) == _plain(live[event.sequence_number + 1 :])


def test_the_helper_takes_up_a_response(openai: OpenAI) -> None:
    with openai.responses.stream(model=MODEL, input=PROMPT, background=True) as stream:
        created = next(iter(stream))
    assert created.type == "response.created"
    with openai.responses.stream(response_id=created.response.id, starting_after=4) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(5, 5 + len(events)))
    assert final.output_text == "w1 w2 w3"
    assert final.id == created.response.id


def test_a_reader_that_leaves_before_the_first_event_strands_nothing(openai: OpenAI) -> None:
    mark = uuid4().hex
    openai.responses.create(model=MODEL, input=PROMPT, stream=True, background=True, metadata={"mark": mark}).close()

    def listed() -> Iterable[Response]:
        query = {"metadata[mark]": mark}
        return [Response.construct(**entry) for entry in _page(openai, query)["data"]]

    (response,) = wait_until(listed, 30, "the response in the list")
    assert until_ended(openai, response.id).status == "completed"


def _page(openai: OpenAI, query: dict[str, str]) -> Any:
    """The list of responses is Simmer's own: the SDK has no method for it."""
    return openai.get("/responses", cast_to=object, options={"params": query})


def _from(openai: OpenAI, response_id: str, after: int | None = None) -> list[ResponseStreamEvent]:
    with openai.responses.retrieve(response_id, stream=True, starting_after=omit if after is None else after) as stream:
        return list(stream)


def _plain(events: Iterable[ResponseStreamEvent]) -> list[dict[str, object]]:
    return [event.to_dict() for event in events]
