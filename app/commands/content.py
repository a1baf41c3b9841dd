"""A job for programs; its prompt and its result in words, for those who asked to see them."""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from app.commands.terminal import visible
from app.domain.ids import public_id
from app.domain.requests import JSON

if TYPE_CHECKING:
    from app.db.administration import Content, JobRecord


def described(job: "JobRecord") -> dict[str, Any]:
    """The job, without prompt and result."""
    names = [name for name in job.__slots__ if name not in {"id", "api_key_id", "key_name"}]
    key = {"id": str(job.api_key_id), "name": job.key_name}
    return {"id": public_id(job.id), "key": key, **{name: getattr(job, name) for name in names}}


def content_of(content: "Content") -> dict[str, Any]:
    """Prompt and result for programs."""
    asked = content.request
    return {"input": asked.items(), "parameters": asked.parameters(), "output": content.output}


def told(content: "Content") -> Iterator[str]:
    """The conversation and the output, each item with a head of its own."""
    if content.request.instructions:
        yield _item("INSTRUCTIONS", content.request.instructions)
    for item in content.request.conversation:
        yield _item(f"INPUT {item.get('role') or item.get('type', '')}", text_of(item))
    for item in content.output or ():
        yield _item(f"OUTPUT {item.get('role') or item.get('type', '')}", text_of(item))


def text_of(item: JSON) -> str:
    """The texts of a message; any other item as JSON."""
    parts = item.get("content")
    if item.get("type") != "message" or not isinstance(parts, list):
        return json.dumps(item)
    return "\n".join(_texts(parts))


def answer_of(output: Iterable[JSON]) -> str:
    """The texts of an answer's messages."""
    return "\n".join(text_of(item) for item in output if item.get("type") == "message")


def _texts(parts: Iterable[JSON]) -> Iterator[str]:
    for part in parts:
        text = part.get("text") or part.get("refusal")
        yield text if isinstance(text, str) else json.dumps(part)


def _item(head: str, text: str) -> str:
    return f"\n{visible(head)}\n{visible(text, lines=True)}"
