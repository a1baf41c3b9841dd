"""Puts a model's answer together from its pieces, and tells each step as an event of the Responses API."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from uuid import UUID

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
from app.domain.events import item_id
from app.domain.jobs import Completed
from app.domain.requests import JSON

_DELTAS = {
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
}


def assemble(job_id: UUID, deltas: Iterable[Delta]) -> Completed:
    """The outcome of an answer that came in one go; the last of `deltas` is a Finish."""
    assembler = Assembler(job_id)
    for delta in deltas:
        assembler.feed(delta)
    assert assembler.completed is not None
    return assembler.completed


@dataclass
class Assembler:
    """Feed it every delta of one answer, in order. After the Finish, `completed` is the job's outcome.

    Events carry no `sequence_number`: that is their place in the log.
    """

    job_id: UUID
    completed: Completed | None = None
    _output: list[JSON] = field(default_factory=list)
    _calls: dict[int, JSON] = field(default_factory=dict)
    _arguments: dict[int, list[str]] = field(default_factory=dict)
    """Open function calls by the server's index. They may grow side by side, and are closed at the end."""
    _open: JSON | None = None
    """The message or the reasoning that is being said."""
    _part: JSON | None = None
    """The open part of it, whose text is in `_pieces` until it is closed: adding to a long string copies it."""
    _pieces: list[str] = field(default_factory=list)
    _where: JSON = field(default_factory=dict)
    """The place of the open part, as each of its events tells it."""

    def feed(self, delta: Delta) -> list[JSON]:  # noqa: C901, PLR0911 - one line for each kind of delta
        """The events that tell of this delta."""
        match delta:
            case TextDelta():
                return self._say("output_text", delta.text, {"logprobs": delta.logprobs})
            case RefusalDelta():
                return self._say("refusal", delta.text, {})
            case AnnotationDelta():
                return self._annotate(delta.annotation)
            case ReasoningDelta():
                return self._think(delta)
            case EncryptedReasoning():
                return self._seal(delta.content)
            case ToolCallDelta():
                return self._call(delta)
            case HostedItem():
                return self._hosted(delta.item)
            case Break():
                return self._close_item()
            case Finish():
                return self._finish(delta)

    # Messages

    def _say(self, kind: str, text: str, more: JSON) -> list[JSON]:
        events = self._open_item("message", "msg", {"role": "assistant", "content": []})
        events += self._open_part(kind)
        _, part = self._opened
        if not text and not more.get("logprobs"):
            return events
        self._pieces.append(text)
        if kind == "output_text":
            part["logprobs"] += more["logprobs"]
        return [*events, {"type": f"{_DELTAS[kind][0]}.delta", **self._where, "delta": text, **more}]

    def _open_part(self, kind: str) -> list[JSON]:
        if self._part and self._part["type"] == kind:
            return []
        events = self._close_part()
        assert self._open
        empty: JSON = {"annotations": [], "logprobs": []} if kind == "output_text" else {}
        self._part = {"type": kind, _DELTAS[kind][1]: "", **empty}
        self._open["content"].append(self._part)
        self._where = self._place(self._open)
        added = {"type": "response.content_part.added", **self._where, "part": deepcopy(self._part)}
        return [*events, added]

    def _annotate(self, annotation: JSON) -> list[JSON]:
        events = self._say("output_text", "", {"logprobs": []})
        _, part = self._opened
        part["annotations"].append(annotation)
        told = {"annotation_index": len(part["annotations"]) - 1, "annotation": annotation}
        return [*events, {"type": "response.output_text.annotation.added", **self._where, **told}]

    # Reasoning

    def _think(self, delta: ReasoningDelta) -> list[JSON]:
        events = self._open_item("reasoning", "rs", {"summary": []})
        assert self._open
        if len(self._open["summary"]) <= delta.part:
            events += self._close_part()
            self._part = {"type": "summary_text", "text": ""}
            self._open["summary"].append(self._part)
            self._where = self._place(self._open)
            added = {"type": "response.reasoning_summary_part.added", **self._where, "part": dict(self._part)}
            events.append(added)
        self._pieces.append(delta.text)
        return [*events, {"type": "response.reasoning_summary_text.delta", **self._where, "delta": delta.text}]

    def _seal(self, content: str) -> list[JSON]:
        events = self._open_item("reasoning", "rs", {"summary": []})
        assert self._open
        self._open["encrypted_content"] = content
        return events

    # Tools

    def _call(self, delta: ToolCallDelta) -> list[JSON]:
        events: list[JSON] = []
        if delta.index not in self._calls:
            events = [*self._close_item(), self._open_call(delta)]
        call = self._calls[delta.index]
        if not delta.arguments:
            return events
        self._arguments[delta.index].append(delta.arguments)
        return [*events, {"type": "response.function_call_arguments.delta", **self._at(call), "delta": delta.arguments}]

    def _open_call(self, delta: ToolCallDelta) -> JSON:
        item = self._add("function_call", "fc", {"name": delta.name, "arguments": ""})
        item["call_id"] = delta.call_id or item["id"].replace("fc_", "call_")
        self._calls[delta.index] = item
        self._arguments[delta.index] = []
        return self._added(item)

    def _close_call(self, call: JSON, status: str) -> list[JSON]:
        call["status"] = status
        told = {"name": call["name"], "arguments": call["arguments"]}
        return [{"type": "response.function_call_arguments.done", **self._at(call), **told}, self._done(call)]

    def _hosted(self, item: JSON) -> list[JSON]:
        events = self._close_item()
        # Items are told apart by identity, and the same one may come twice.
        own = dict(item)
        self._output.append(own)
        return [*events, self._added(own), self._done(own)]

    # Items

    def _finish(self, finish: Finish) -> list[JSON]:
        events: list[JSON] = []
        if not self._output:
            # An empty answer is one, too: clients expect a message.
            events = self._say("output_text", "", {"logprobs": []})
        status = "incomplete" if finish.incomplete_reason else "completed"
        events += self._close_item(status)
        for index, call in self._calls.items():
            call["arguments"] = "".join(self._arguments[index])
            events += self._close_call(call, status)
        self.completed = Completed(self._output, finish.usage, finish.incomplete_reason)
        return events

    def _open_item(self, kind: str, prefix: str, more: JSON) -> list[JSON]:
        if self._open and self._open["type"] == kind:
            return []
        events = self._close_item()
        self._open = self._add(kind, prefix, more)
        return [*events, self._added(self._open)]

    def _add(self, kind: str, prefix: str, more: JSON) -> JSON:
        item = {"type": kind, "id": item_id(prefix, self.job_id, len(self._output)), "status": "in_progress", **more}
        self._output.append(item)
        return item

    def _close_item(self, status: str = "completed") -> list[JSON]:
        if self._open is None:
            return []
        events = self._close_part()
        item, self._open = self._open, None
        item["status"] = status
        return [*events, self._done(item)]

    def _close_part(self) -> list[JSON]:
        if self._part is None:
            return []
        item, part = self._opened
        place, self._part = self._where, None
        text, self._pieces = "".join(self._pieces), []
        if item["type"] == "reasoning":
            part["text"] = text
            done = {"type": "response.reasoning_summary_text.done", **place, "text": text}
            return [done, {"type": "response.reasoning_summary_part.done", **place, "part": deepcopy(part)}]
        name, key = _DELTAS[part["type"]]
        part[key] = text
        done = {"type": f"{name}.done", **place, key: text}
        if part["type"] == "output_text":
            done["logprobs"] = list(part["logprobs"])
        return [done, {"type": "response.content_part.done", **place, "part": deepcopy(part)}]

    @property
    def _opened(self) -> tuple[JSON, JSON]:
        assert self._open is not None
        assert self._part is not None
        return self._open, self._part

    def _at(self, item: JSON) -> JSON:
        return {"item_id": item["id"], "output_index": self._index(item)}

    def _place(self, item: JSON) -> JSON:
        """Where in the item the open part is."""
        parts, name = (
            (item["summary"], "summary_index") if item["type"] == "reasoning" else (item["content"], "content_index")
        )
        return {**self._at(item), name: len(parts) - 1}

    def _added(self, item: JSON) -> JSON:
        return {"type": "response.output_item.added", "output_index": self._index(item), "item": deepcopy(item)}

    def _done(self, item: JSON) -> JSON:
        return {"type": "response.output_item.done", "output_index": self._index(item), "item": deepcopy(item)}

    def _index(self, item: JSON) -> int:
        return next(index for index, known in enumerate(self._output) if known is item)
