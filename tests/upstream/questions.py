"""What is asked of the mock, in either dialect."""

from dataclasses import dataclass
from typing import Any, Literal

from tests.upstream.wire import Request, RequestError

Dialect = Literal["chat", "responses"]
LOGPROBS = "message.output_text.logprobs"
SEALED_REASONING = "reasoning.encrypted_content"


@dataclass(frozen=True, slots=True)
class Question:
    dialect: Dialect
    model: str
    prompt: str
    """The last user message."""
    prompt_tokens: int
    stream: bool = False
    include_usage: bool = True
    logprobs: bool = False
    seal_reasoning: bool = False

    @classmethod
    def read(cls, dialect: Dialect, request: Request) -> "Question":
        return _read_chat(request.json_object()) if dialect == "chat" else _read_responses(request.json_object())


def _read_chat(body: dict[str, Any]) -> Question:
    messages, model = body.get("messages"), body.get("model")
    if not isinstance(messages, list) or not messages or not isinstance(model, str):
        raise RequestError(400, "send a model and a list of messages")
    if not all(isinstance(message, dict) for message in messages):
        raise RequestError(400, "a message is not an object; send role and content")
    prompt, tokens = _prompt(messages)
    return Question(
        dialect="chat",
        model=model,
        prompt=prompt,
        prompt_tokens=tokens,
        stream=bool(body.get("stream")),
        include_usage=not body.get("stream") or bool((body.get("stream_options") or {}).get("include_usage")),
        logprobs=bool(body.get("logprobs")),
    )


def _read_responses(body: dict[str, Any]) -> Question:
    items, model = body.get("input"), body.get("model")
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    if not isinstance(items, list) or not items or not isinstance(model, str):
        raise RequestError(400, "send a model and an input")
    if not all(isinstance(item, dict) for item in items):
        raise RequestError(400, "an item of the input is not an object; send messages")
    if body.get("store") is not False or body.get("background"):
        raise RequestError(400, "the mock keeps nothing; send store: false and no background")
    prompt, tokens = _prompt([{"role": "system", "content": body.get("instructions")}, *items])
    return Question(
        dialect="responses",
        model=model,
        prompt=prompt,
        prompt_tokens=tokens,
        stream=bool(body.get("stream")),
        logprobs=LOGPROBS in body.get("include", ()),
        seal_reasoning=SEALED_REASONING in body.get("include", ()),
    )


def _prompt(messages: list[dict[str, Any]]) -> tuple[str, int]:
    texts = [(message.get("role"), _text(message.get("content"))) for message in messages]
    prompt = next((text for role, text in reversed(texts) if role == "user"), "")
    return prompt, sum(len(text.split()) for _, text in texts)


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if part.get("type") in {"text", "input_text", "output_text"})
    return content if isinstance(content, str) else ""
