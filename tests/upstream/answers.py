"""Bodies of the chat completions dialect: completions, chunks, errors, the list of models."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MODELS = ("mock-small", "mock-large")
_PIECE = 16_384
_CREATED = 1_700_000_000
_ERROR_TYPES = {401: "invalid_request_error", 403: "invalid_request_error", 429: "rate_limit_exceeded"}
_ERROR_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_ERROR_MESSAGES = {
    "context_length_exceeded": "This model's maximum context length is 8192 tokens. Please shorten the messages.",
    "invalid_prompt": "Invalid prompt: your prompt was flagged. Please try again with a different prompt.",
    "rate_limit_exceeded": "Rate limit reached for requests. Please try again later.",
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
}


def models() -> dict[str, Any]:
    entries = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "mock"} for name in MODELS]
    return {"object": "list", "data": entries}


def error(status: int, code: str | None = None, message: str | None = None) -> dict[str, Any]:
    code = code or _ERROR_CODES.get(status)
    kind = _ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    param = "messages" if code in {"context_length_exceeded", "invalid_prompt"} else None
    text = message or _ERROR_MESSAGES.get(code or "", f"The mock answers with status {status}.")
    return {"error": {"message": text, "type": kind, "param": param, "code": code}}


@dataclass(slots=True)
class Answer:
    id: str
    model: str
    prompt_tokens: int
    text: str | None
    finish: str = "stop"
    rate: float | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    has_choices: bool = True
    has_usage: bool = True

    def call_tool(self, name: str, arguments: object) -> None:
        self.text, self.finish = None, "tool_calls"
        function = {"name": name, "arguments": json.dumps(arguments)}
        number = len(self.tool_calls) + 1
        self.tool_calls.append({"id": f"{self.id}-tool-{number}", "type": "function", "function": function})

    def pieces(self) -> list[str]:
        """The text as a stream shows it: word by word, and a long word in parts."""
        words = re.findall(r"\s*\S+|\s+$", self.text or "")
        return [word[at : at + _PIECE] for word in words for at in range(0, len(word), _PIECE)]

    def completion(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        choice = {"index": 0, "message": message, "finish_reason": self.finish, "logprobs": None}
        body = {**self._head("chat.completion"), "choices": [choice] if self.has_choices else []}
        return {**body, "usage": self._usage()} if self.has_usage else body

    def chunks(self, *, include_usage: bool) -> Iterator[dict[str, Any]]:
        head = self._head("chat.completion.chunk") | ({"usage": None} if include_usage else {})
        if self.has_choices:
            for delta in self._deltas():
                yield head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
            yield head | {"choices": [{"index": 0, "delta": {}, "finish_reason": self.finish}]}
        if include_usage and self.has_usage:
            yield head | {"choices": [], "usage": self._usage()}

    def _deltas(self) -> Iterator[dict[str, Any]]:
        yield {"role": "assistant", "content": None if self.text is None else ""}
        for piece in self.pieces():
            yield {"content": piece}
        for index, call in enumerate(self.tool_calls):
            yield {"tool_calls": [{"index": index, **call}]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": _CREATED, "model": self.model}

    def _usage(self) -> dict[str, Any]:
        completion_tokens = max(len(self.pieces()), len(self.tool_calls))
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }
