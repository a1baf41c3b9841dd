"""What a test asks the official SDK, and what it makes of the answer."""

from collections.abc import Iterable
from itertools import groupby
from typing import Protocol

from openai import OpenAI
from openai.types.responses import Response

from tests.processes import wait_until

MODEL = "gpt-4.1"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAUwAOw=="
"""An image that needs no download."""
TERMINAL = {"completed", "incomplete", "failed", "cancelled"}
TEXT = [
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
"""A stream of one message, as `shape` sees it."""


class Event(Protocol):
    """Any event of a stream."""

    @property
    def type(self) -> str: ...


def until_ended(openai: OpenAI, response_id: str) -> Response:
    """The response once it has ended, polled as the SDK's users do."""

    def ended() -> Response | None:
        response = openai.responses.retrieve(response_id)
        return response if response.status in TERMINAL else None

    response = wait_until(ended, 30, f"end of {response_id}")
    assert response
    return response


def until_running(openai: OpenAI, response_id: str) -> None:
    """Return once a worker has the response."""
    wait_until(lambda: openai.responses.retrieve(response_id).status == "in_progress", 30, f"start of {response_id}")


def shape(events: Iterable[Event]) -> list[str]:
    """The types of the events; of a row of the same ones, such as deltas, one stands for all."""
    return [kind for kind, _ in groupby(event.type for event in events)]
