"""What the mock answers, before it is put in a dialect; errors and the list of models, which are the same in both."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

MODELS = ("mock-small", "mock-large")
CREATED = 1_700_000_000
_PIECE = 16_384
_ARGUMENTS_PIECE = 8
_ERROR_TYPES = {401: "invalid_request_error", 403: "invalid_request_error", 429: "rate_limit_exceeded"}
_ERROR_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_ERROR_MESSAGES = {
    "context_length_exceeded": "This model's maximum context length is 8192 tokens. Please shorten the messages.",
    "invalid_prompt": "Invalid prompt: your prompt was flagged. Please try again with a different prompt.",
    "rate_limit_exceeded": "Rate limit reached for requests. Please try again later.",
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
}


def models() -> dict[str, Any]:
    entries = [{"id": name, "object": "model", "created": CREATED, "owned_by": "mock"} for name in MODELS]
    return {"object": "list", "data": entries}


def error(status: int, code: str | None = None, message: str | None = None) -> dict[str, Any]:
    code = code or _ERROR_CODES.get(status)
    kind = _ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    param = "messages" if code in {"context_length_exceeded", "invalid_prompt"} else None
    text = message or _ERROR_MESSAGES.get(code or "", f"The mock answers with status {status}.")
    return {"error": {"message": text, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: str

    def pieces(self) -> list[str]:
        """The arguments as a stream shows them."""
        return [self.arguments[at : at + _ARGUMENTS_PIECE] for at in range(0, len(self.arguments), _ARGUMENTS_PIECE)]


@dataclass(slots=True)
class Answer:
    """One answer. All ids in it end in `key`: the same prompt, asked again, gets the same answer."""

    key: str
    model: str
    prompt_tokens: int
    text: str | None
    finish: str = "stop"
    rate: float | None = None
    reasoning: list[str] = field(default_factory=list)
    raw_reasoning: bool = False
    """Reasoning by its other name: `reasoning` in chat completions, `reasoning_text` in responses."""
    refusal: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    interleaved: bool = False
    """The arguments of several tool calls grow side by side."""
    searched: bool = False
    cached_tokens: int = 0
    failure: dict[str, Any] | None = None
    has_choices: bool = True
    has_usage: bool = True
    has_end: bool = True
    has_echo: bool = True
    """Whether the text is nothing but the echo that every answer is without directives."""

    def refuse(self, text: str) -> None:
        """A text that a directive asked for stays in front of it."""
        if self.has_echo:
            self.text = None
        self.refusal = text

    def call_tool(self, name: str, arguments: object) -> None:
        if self.has_echo:
            self.text = None
        self.finish = "tool_calls"
        call_id = f"call_mock_{self.key}_{len(self.tool_calls) + 1}"
        self.tool_calls.append(ToolCall(call_id, name, json.dumps(arguments)))

    def say(self, text: str | None) -> None:
        self.text, self.has_echo = text, False

    def argument_pieces(self) -> list[tuple[int, str]]:
        """All pieces of all tool calls in the order of the stream, each with the index of its call."""
        pieces = [(at, index, piece) for index, call in enumerate(self.tool_calls) for at, piece in _numbered(call)]
        if self.interleaved:
            pieces.sort(key=lambda piece: piece[0])
        return [(index, piece) for _, index, piece in pieces]

    def reasoning_tokens(self) -> int:
        return sum(len(words(text)) for text in self.reasoning)

    def output_tokens(self) -> int:
        said = len(words(self.text or "")) + len(words(self.refusal or ""))
        return self.reasoning_tokens() + max(said, len(self.tool_calls))


def _numbered(call: ToolCall) -> list[tuple[int, str]]:
    return list(enumerate(call.pieces()))


def words(text: str) -> list[str]:
    """A text as a stream shows it: word by word, and a long word in parts."""
    found = re.findall(r"\s*\S+|\s+$", text)
    return [word[at : at + _PIECE] for word in found for at in range(0, len(word), _PIECE)]


def logprob(token: str, *, with_bytes: bool = True) -> dict[str, Any]:
    """A made-up log probability, the same for the same token. Not all servers tell the bytes."""
    told = list(token.encode()) if with_bytes else None
    entry = {"token": token, "logprob": -len(token) / 10, "bytes": told}
    return {**entry, "top_logprobs": [entry]}
