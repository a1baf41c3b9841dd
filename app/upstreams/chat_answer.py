"""What a server of chat completions answers, as deltas."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from app.domain.deltas import Delta, Finish, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from app.domain.jobs import Usage
from app.domain.requests import JSON
from app.upstreams import reading
from app.upstreams.failures import broken_stream, invalid_answer, reported_error

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def whole(answer: JSON) -> Iterator[Delta]:
    """The deltas of an answer that came in one go. Raises UpstreamError if it is none."""
    if answer.get("error"):
        raise reported_error(answer["error"])
    choice = _choice(answer)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise invalid_answer("no message")
    yield from _Reader().said(message, choice)
    yield _finish(choice.get("finish_reason"), _usage(answer))


def streamed(chunks: Iterable[JSON]) -> Iterator[Delta]:
    """The deltas of an answer that comes in chunks. Raises UpstreamError if it breaks off."""
    reader, usage, reason = _Reader(), None, None
    for chunk in chunks:
        if chunk.get("error"):
            raise reported_error(chunk["error"])
        # Servers tell it with the last chunk, after it in one without choices, or with every one: the last counts.
        usage = _usage(chunk) or usage
        if chunk.get("choices"):
            choice = _choice(chunk)
            yield from reader.said(reading.as_object(choice.get("delta")), choice)
            reason = choice.get("finish_reason") or reason
    if not reason:
        raise broken_stream()
    yield _finish(reason, usage)


@dataclass(slots=True)
class _Reader:
    """Reads a whole message, or the piece of one that a chunk has: they have the same form."""

    calls: dict[int, tuple[int, str]] = field(default_factory=dict)
    """By the server's index: our own and the id of the call that is being made there."""
    called: int = 0

    def said(self, message: JSON, choice: JSON) -> Iterator[Delta]:
        # DeepSeek, vLLM, llama.cpp and LiteLLM call it the first; OpenRouter and Ollama the second.
        if thought := _text(message, "reasoning_content") or _text(message, "reasoning"):
            yield ReasoningDelta(thought)
        probabilities = reading.as_object(choice.get("logprobs")).get("content") or []
        text = _text(message, "content")
        if text or (probabilities and message.get("content") is not None):
            yield TextDelta(text, reading.logprobs(probabilities))
        if refusal := _text(message, "refusal"):
            yield RefusalDelta(refusal)
        for position, call in enumerate(reading.objects(message.get("tool_calls"))):
            yield self._call(position, call)

    def _call(self, position: int, told: JSON) -> ToolCallDelta:
        function, call_id = reading.as_object(told.get("function")), _text(told, "id")
        name, arguments = _text(function, "name"), _text(function, "arguments")
        place = told["index"] if isinstance(told.get("index"), int) else position
        index, known_id = self.calls.get(place, (None, ""))
        # Some servers number all their calls 0: a new name with a new id is another call.
        if index is None or (name and call_id and call_id != known_id):
            if not name:
                raise invalid_answer("a tool call without a name")
            index, self.called = self.called, self.called + 1
            self.calls[place] = (index, call_id)
        return ToolCallDelta(index, arguments, name, call_id)


def _choice(answer: JSON) -> JSON:
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise invalid_answer("no choices")
    return choices[0]


def _text(message: JSON, name: str) -> str:
    text = message.get(name)
    if text is not None and not isinstance(text, str):
        raise invalid_answer("something else than text where text belongs")
    return text or ""


def _finish(reason: object, usage: Usage | None) -> Finish:
    return Finish(usage, _INCOMPLETE.get(str(reason)))


def _usage(answer: JSON) -> Usage | None:
    counts = answer.get("usage")
    return reading.usage(counts, input_name="prompt_tokens", output_name="completion_tokens") if counts else None
