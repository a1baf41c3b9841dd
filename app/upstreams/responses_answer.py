"""What a server of the Responses API answers, as deltas."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from app.domain.deltas import (
    AnnotationDelta,
    Break,
    Delta,
    EncryptedReasoning,
    Finish,
    HostedItem,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from app.domain.requests import JSON
from app.upstreams import reading
from app.upstreams.failures import broken_stream, invalid_answer, reported_error

_ENDS = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}
_REASONS = {"max_output_tokens", "content_filter"}


def whole(response: JSON) -> Iterator[Delta]:
    """The deltas of a response that came in one go. Raises UpstreamError if it is none, or a failed one."""
    finish = _finish(response, "completed")
    if not isinstance(response.get("output"), list):
        raise invalid_answer("no output")
    yield from _Reader().rest(response)
    yield finish


def streamed(events: Iterable[JSON]) -> Iterator[Delta]:
    """The deltas of a response that comes in events. Raises UpstreamError if it fails or breaks off."""
    reader = _Reader()
    for event in events:
        kind = str(event.get("type"))
        if kind == "error" or event.get("error"):
            raise reported_error(event.get("error") or event)
        if kind in _ENDS:
            response = reading.as_object(event.get("response"))
            finish = _finish(response, _ENDS[kind])
            yield from reader.rest(response)
            yield finish
            return
        if read := _EVENTS.get(kind):
            index = event.get("output_index")
            yield from read(reader, index if isinstance(index, int) else 0, event)
    raise broken_stream()


def _finish(response: JSON, default_status: str) -> Finish:
    status, reason = response.get("status", default_status), None
    if status == "failed":
        raise reported_error(response.get("error"))
    if status not in ("completed", "incomplete"):
        raise invalid_answer("a response that has not ended")
    if status == "incomplete":
        told = str(reading.as_object(response.get("incomplete_details")).get("reason"))
        # Clients know two reasons. Where a server says another, it is some limit of length.
        reason = told if told in _REASONS else "max_output_tokens"
    return Finish(reading.usage(response.get("usage"), input_name="input_tokens", output_name="output_tokens"), reason)


@dataclass(slots=True)
class _Reader:
    """Reads events, each with the index of its item. What they left out is read from the item when it is done, or
    from the response at the end: some servers tell it only there.
    """

    last: tuple[int, str, object] | None = None
    """Where the last text was: item, kind, and part of the item."""
    thoughts: int = 0
    """How many parts of the reasoning that is being told came before this one."""
    told: set[tuple[int, str]] = field(default_factory=set)
    """The kinds of texts that were told of each item."""
    annotations: dict[int, int] = field(default_factory=dict)
    """How many were told of each item."""
    done: set[int] = field(default_factory=set)

    def rest(self, response: JSON) -> list[Delta]:
        """What the response has that was not told."""
        items = enumerate(reading.objects(response.get("output")))
        return [delta for index, item in items if index not in self.done for delta in self.finish_item(index, item)]

    def text(self, index: int, event: JSON) -> list[Delta]:
        probabilities = reading.logprobs(event.get("logprobs"))
        return self._say(index, event.get("content_index"), reading.as_text(event.get("delta")), probabilities)

    def refusal(self, index: int, event: JSON) -> list[Delta]:
        return self._refuse(index, event.get("content_index"), reading.as_text(event.get("delta")))

    def annotation(self, index: int, event: JSON) -> list[Delta]:
        annotation = reading.as_object(event.get("annotation"))
        return self._annotate(index, event.get("content_index"), [annotation] if annotation else [])

    def summary(self, index: int, event: JSON) -> list[Delta]:
        return self._think(index, ("summary", event.get("summary_index")), reading.as_text(event.get("delta")))

    def thought(self, index: int, event: JSON) -> list[Delta]:
        return self._think(index, ("content", event.get("content_index")), reading.as_text(event.get("delta")))

    def arguments(self, index: int, event: JSON) -> list[Delta]:
        piece = reading.as_text(event.get("delta"))
        # Without the call's name there is nothing to add them to; they come once more when the item is done.
        if not piece or (index, "call") not in self.told:
            return []
        self.told.add((index, "arguments"))
        return [ToolCallDelta(index, piece)]

    def item_added(self, index: int, event: JSON) -> list[Delta]:
        item = reading.as_object(event.get("item"))
        return self._call(index, item) if item.get("type") == "function_call" else []

    def item_done(self, index: int, event: JSON) -> list[Delta]:
        return self.finish_item(index, reading.as_object(event.get("item")))

    def finish_item(self, index: int, item: JSON) -> list[Delta]:
        """What the item has that was not told."""
        self.done.add(index)
        match item.get("type"):
            case "message":
                return self._finish_message(index, reading.objects(item.get("content")))
            case "reasoning":
                return self._finish_reasoning(index, item)
            case "function_call":
                return self._finish_call(index, item)
            case str():
                return [HostedItem(item)]
            case _:
                raise invalid_answer("an output item without a type")

    def _finish_message(self, index: int, parts: list[JSON]) -> list[Delta]:
        deltas: list[Delta] = []
        untold = {kind for kind in ("text", "refusal") if (index, kind) not in self.told}
        annotations = self.annotations.get(index, 0)
        for place, part in enumerate(parts):
            if "text" in untold and part.get("type") == "output_text":
                probabilities = reading.logprobs(part.get("logprobs"))
                deltas += self._say(index, place, reading.as_text(part.get("text")), probabilities)
            if "refusal" in untold and part.get("type") == "refusal":
                deltas += self._refuse(index, place, reading.as_text(part.get("refusal")))
            found = reading.objects(part.get("annotations"))
            deltas += self._annotate(index, place, found[annotations:])
            annotations = max(0, annotations - len(found))
        return deltas

    def _finish_reasoning(self, index: int, item: JSON) -> list[Delta]:
        deltas: list[Delta] = []
        if (index, "reasoning") not in self.told:
            for name in ("content", "summary"):
                for place, part in enumerate(reading.objects(item.get(name))):
                    deltas += self._think(index, (name, place), reading.as_text(part.get("text")))
        if sealed := reading.as_text(item.get("encrypted_content")):
            deltas += [*self._move(index, "reasoning", None), EncryptedReasoning(sealed)]
        return deltas

    def _finish_call(self, index: int, item: JSON) -> list[Delta]:
        deltas = self._call(index, item)
        if (index, "arguments") not in self.told:
            deltas.append(ToolCallDelta(index, reading.as_text(item.get("arguments"))))
        return deltas

    def _say(self, index: int, part: object, text: str, probabilities: list[JSON]) -> list[Delta]:
        if not text and not probabilities:
            return []
        self.told.add((index, "text"))
        return [*self._move(index, "text", part), TextDelta(text, probabilities)]

    def _refuse(self, index: int, part: object, text: str) -> list[Delta]:
        if not text:
            return []
        self.told.add((index, "refusal"))
        return [*self._move(index, "refusal", part), RefusalDelta(text)]

    def _annotate(self, index: int, part: object, annotations: list[JSON]) -> list[Delta]:
        if not annotations:
            return []
        self.annotations[index] = self.annotations.get(index, 0) + len(annotations)
        return [*self._move(index, "text", part), *map(AnnotationDelta, annotations)]

    def _think(self, index: int, part: object, text: str) -> list[Delta]:
        if not text:
            return []
        self.told.add((index, "reasoning"))
        if self.last and self.last[0] == index and self.last[2] != part:
            self.thoughts += 1
        deltas = self._move(index, "reasoning", part)
        return [*deltas, ReasoningDelta(text, self.thoughts)]

    def _call(self, index: int, item: JSON) -> list[Delta]:
        if (index, "call") in self.told:
            return []
        name = reading.as_text(item.get("name"))
        if not name:
            raise invalid_answer("a function call without a name")
        self.told.add((index, "call"))
        return [ToolCallDelta(index, "", name, reading.as_text(item.get("call_id")))]

    def _move(self, index: int, kind: str, part: object) -> list[Delta]:
        """Go to another text; a Break if it is in another item, or would run into the one before it."""
        before, self.last = self.last, (index, kind, part)
        if before is None or before == self.last:
            return []
        if before[0] != index:
            self.thoughts = 0
            return [Break()]
        return [Break()] if before[1] == kind == "text" else []


_EVENTS: dict[str, Callable[[_Reader, int, JSON], list[Delta]]] = {
    "response.output_text.delta": _Reader.text,
    "response.output_text.annotation.added": _Reader.annotation,
    "response.refusal.delta": _Reader.refusal,
    "response.reasoning_summary_text.delta": _Reader.summary,
    "response.reasoning_text.delta": _Reader.thought,
    "response.reasoning.delta": _Reader.thought,
    "response.function_call_arguments.delta": _Reader.arguments,
    "response.output_item.added": _Reader.item_added,
    "response.output_item.done": _Reader.item_done,
}
