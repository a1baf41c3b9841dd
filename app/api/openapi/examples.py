"""Requests and answers as examples. The answers are made by the presenters themselves, from a job that never was."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.api.dialect import Presenter
from app.domain.deltas import Finish, TextDelta
from app.domain.ids import public_id
from app.domain.jobs import Failure, Job, Usage
from app.domain.lifecycle import Status
from app.domain.output import assemble
from app.domain.requests import JSON

MODEL = "gpt-4.1"
PROMPT = "Write a detailed article about AI"
_WEATHER: JSON = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_IMAGE = "https://example.com/chart.png"

OPENAI_CREATES: dict[str, JSON] = {
    "in the background": {"model": MODEL, "input": PROMPT, "background": True},
    "while you wait": {"model": MODEL, "input": "Say hello."},
    "streamed": {"model": MODEL, "input": PROMPT, "background": True, "stream": True},
    "a conversation with an image": {
        "model": MODEL,
        "instructions": "Answer in one sentence.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What does this chart say?"},
                    {"type": "input_image", "image_url": _IMAGE},
                ],
            }
        ],
        "metadata": {"team": "news"},
    },
    "a function": {
        "model": MODEL,
        "input": "What is the weather in Paris?",
        "tools": [{"type": "function", "name": "get_weather", "parameters": _WEATHER, "strict": True}],
        "tool_choice": "auto",
        "background": True,
    },
    "the function's result": {
        "model": MODEL,
        "previous_response_id": "resp_0198f3c2a1b47d0c9e5f2a6b8c7d1e03",
        "input": [{"type": "function_call_output", "call_id": "call_1", "output": '{"celsius": 18}'}],
    },
    "with a webhook": {
        "model": MODEL,
        "input": PROMPT,
        "background": True,
        "webhook": {"url": "https://example.com/simmer", "events": ["response.completed", "response.failed"]},
    },
    "JSON that follows a schema": {
        "model": MODEL,
        "input": "Extract the city: I live in Paris.",
        "text": {"format": {"type": "json_schema", "name": "place", "schema": _WEATHER, "strict": True}},
    },
}
FREDDY_CREATES: dict[str, JSON] = {
    "in the background": {
        "model": MODEL,
        "background": True,
        "inputs": [{"role": "user", "texts": [{"text": PROMPT}]}],
    },
    "while you wait": {
        "model": MODEL,
        "inputs": [
            {"role": "system", "texts": [{"text": "Answer in one sentence."}]},
            {"role": "user", "content": "What is background mode?"},
        ],
        "max_output_tokens": 200,
    },
    "with a webhook": {
        "model": MODEL,
        "background": True,
        "inputs": [{"role": "user", "texts": [{"text": PROMPT}]}],
        "webhook": {"url": "https://example.com/simmer"},
    },
    "an image, streamed": {
        "model": MODEL,
        "stream": True,
        "background": True,
        "inputs": [
            {"role": "user", "texts": [{"text": "What does this chart say?"}], "images": [{"url": _IMAGE}]},
        ],
    },
}

_CREATED_AT = datetime.fromtimestamp(1741476542, UTC)
_STARTED_AT, _ENDED_AT = _CREATED_AT + timedelta(seconds=1), _CREATED_AT + timedelta(seconds=37)
_ID = UUID("0198f3c2a1b47d0c9e5f2a6b8c7d1e03")
_ANSWER = assemble(_ID, [TextDelta("# Artificial intelligence\n\n…"), Finish(Usage(12, 450, 462))])
_QUEUED = Job(
    id=_ID,
    api_key_id=UUID(int=0),
    status=Status.QUEUED,
    model=MODEL,
    request={},
    metadata={},
    background=True,
    stream=False,
    store=True,
    attempt=0,
    worker=None,
    created_at=_CREATED_AT,
)
_ENDED = replace(
    _QUEUED, attempt=1, started_at=_STARTED_AT, ended_at=_ENDED_AT, expires_at=_ENDED_AT + timedelta(days=1)
)
_COMPLETED = replace(
    _ENDED,
    status=Status.COMPLETED,
    output=_ANSWER.output,
    usage=_ANSWER.usage.to_json() if _ANSWER.usage else None,
)
_FAILED = replace(
    _ENDED,
    status=Status.FAILED,
    error_code=Failure.TIMEOUT.value,
    error_message="The job was stopped at its time limit. Ask for less output, or have the model's time limit raised.",
)
_STATES = {
    "queued": replace(_QUEUED, position=3),
    "in_progress": replace(_QUEUED, status=Status.IN_PROGRESS, attempt=1, started_at=_STARTED_AT),
    "completed": _COMPLETED,
    "failed": _FAILED,
    "cancelled": replace(_ENDED, status=Status.CANCELLED),
}


def responses(present: Presenter, *states: str) -> dict[str, JSON]:
    """A response in these states, as a dialect shows it; without names in all."""
    return {state: present(_STATES[state]) for state in states or _STATES}


def page(present: Presenter) -> dict[str, JSON]:
    """A page of a list."""
    data = [present(_COMPLETED)]
    listed = {"object": "list", "data": data, "first_id": data[0]["id"], "last_id": data[0]["id"], "has_more": False}
    return {"a page": listed}


DELETED: dict[str, JSON] = {"deleted": {"id": public_id(_ID), "object": "response", "deleted": True}}
