"""Answers of the mock as responses and their events."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from tests.upstream.answers import CREATED, Answer, logprob, words
from tests.upstream.questions import Question

JSON = dict[str, Any]
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response(answer: Answer, question: Question) -> JSON:
    body = _response(answer, _status(answer))
    if answer.has_choices:
        body["output"] = _items(answer, question)
    if answer.has_usage:
        body["usage"] = _usage(answer)
    return body


def events(answer: Answer, question: Question) -> Iterator[JSON]:
    numbers = count()
    for event in _events(answer, question):
        yield {**event, "sequence_number": next(numbers)}


def _events(answer: Answer, question: Question) -> Iterator[JSON]:
    begun = {**_response(answer, "in_progress"), "output": []}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(_items(answer, question)):
        if item["type"] != "function_call":
            yield {"type": "response.output_item.added", "output_index": index, "item": _begun(item)}
            yield from _TELL[item["type"]](index, item, answer)
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield from _tell_calls(answer, question)
    if answer.has_end and answer.has_choices:
        status = _status(answer)
        yield {"type": f"response.{status}", "response": response(answer, question)}


def _status(answer: Answer) -> str:
    if answer.failure:
        return "failed"
    return "incomplete" if answer.finish in _REASONS else "completed"


def _response(answer: Answer, status: str) -> JSON:
    return {
        "id": f"resp_mock_{answer.key}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "model": answer.model,
        "error": answer.failure if status == "failed" else None,
        "incomplete_details": {"reason": _REASONS[answer.finish]} if status == "incomplete" else None,
        "usage": None,
        "store": False,
    }


def _items(answer: Answer, question: Question) -> list[JSON]:
    items = []
    if answer.reasoning:
        items.append(_reasoning(answer, question))
    if answer.searched:
        items.append(_search(answer))
    if answer.text is not None or answer.refusal or not answer.tool_calls:
        items.append(_message(answer, question))
    return items + [_call(answer, index) for index in range(len(answer.tool_calls))]


def _reasoning(answer: Answer, question: Question) -> JSON:
    name, kind = ("content", "reasoning_text") if answer.raw_reasoning else ("summary", "summary_text")
    parts = [{"type": kind, "text": text} for text in answer.reasoning]
    sealed = {"encrypted_content": f"sealed-{answer.key}"} if question.seal_reasoning else {}
    return {"type": "reasoning", "id": f"rs_mock_{answer.key}", "summary": [], name: parts, **sealed}


def _search(answer: Answer) -> JSON:
    action = {"type": "search", "query": "mock", "queries": ["mock"], "sources": []}
    return {"type": "web_search_call", "id": f"ws_mock_{answer.key}", "status": "completed", "action": action}


def _message(answer: Answer, question: Question) -> JSON:
    content: list[JSON] = []
    if answer.text:
        tokens = words(answer.text) if question.logprobs else []
        text = {"text": answer.text, "annotations": _annotations(answer), "logprobs": [logprob(t) for t in tokens]}
        content.append({"type": "output_text", **text})
    if answer.refusal:
        content.append({"type": "refusal", "refusal": answer.refusal})
    return {
        "type": "message",
        "id": f"msg_mock_{answer.key}",
        "status": "incomplete" if answer.finish in _REASONS else "completed",
        "role": "assistant",
        "content": content,
    }


def _annotations(answer: Answer) -> list[JSON]:
    if not answer.searched:
        return []
    place = {"start_index": 0, "end_index": len(answer.text or "")}
    return [{"type": "url_citation", "url": "https://example.com/mock", "title": "Mock", **place}]


def _call(answer: Answer, index: int) -> JSON:
    call = answer.tool_calls[index]
    told = {"call_id": call.id, "name": call.name, "arguments": call.arguments, "status": "completed"}
    return {"type": "function_call", "id": f"fc_mock_{answer.key}_{index}", **told}


def _begun(item: JSON) -> JSON:
    """The item as it is announced."""
    empty: JSON = {"content": [], "summary": [], "arguments": ""}
    begun = {**item, **{name: value for name, value in empty.items() if name in item}}
    begun.pop("encrypted_content", None)
    return {**begun, "status": "in_progress"} if "status" in item else begun


def _tell_message(index: int, item: JSON, answer: Answer) -> Iterator[JSON]:
    for number, part in enumerate(item["content"]):
        place = {"item_id": item["id"], "output_index": index, "content_index": number}
        kind = "text" if part["type"] == "output_text" else "refusal"
        empty = {**part, kind: "", **({"annotations": [], "logprobs": []} if kind == "text" else {})}
        yield {"type": "response.content_part.added", **place, "part": empty}
        for piece in words(part[kind]):
            told = {"logprobs": [logprob(piece)] if part.get("logprobs") else []} if kind == "text" else {}
            yield {"type": f"response.{part['type']}.delta", **place, "delta": piece, **told}
        for at, annotation in enumerate(part.get("annotations", ())):
            added = {"annotation_index": at, "annotation": annotation}
            yield {"type": "response.output_text.annotation.added", **place, **added}
        yield {"type": f"response.{part['type']}.done", **place, kind: part[kind]}
        yield {"type": "response.content_part.done", **place, "part": part}


def _tell_reasoning(index: int, item: JSON, answer: Answer) -> Iterator[JSON]:
    name = "reasoning_text" if answer.raw_reasoning else "reasoning_summary_text"
    counter = "content_index" if answer.raw_reasoning else "summary_index"
    for number, text in enumerate(answer.reasoning):
        place = {"item_id": item["id"], "output_index": index, counter: number}
        for piece in words(text):
            yield {"type": f"response.{name}.delta", **place, "delta": piece}
        yield {"type": f"response.{name}.done", **place, "text": text}


def _tell_search(index: int, item: JSON, answer: Answer) -> Iterator[JSON]:
    for step in ("in_progress", "searching", "completed"):
        yield {"type": f"response.web_search_call.{step}", "item_id": item["id"], "output_index": index}


_TELL = {"message": _tell_message, "reasoning": _tell_reasoning, "web_search_call": _tell_search}


def _tell_calls(answer: Answer, question: Question) -> Iterator[JSON]:
    items = _items(answer, question)
    first = len(items) - len(answer.tool_calls)
    begun: set[int] = set()
    for number, piece in answer.argument_pieces():
        index = first + number
        if number not in begun:
            begun.add(number)
            yield {"type": "response.output_item.added", "output_index": index, "item": _begun(items[index])}
        place = {"item_id": items[index]["id"], "output_index": index}
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
    for index, item in list(enumerate(items))[first:]:
        told = {"item_id": item["id"], "output_index": index, "name": item["name"], "arguments": item["arguments"]}
        yield {"type": "response.function_call_arguments.done", **told}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}


def error_event(failure: JSON) -> JSON:
    told = {name: failure["error"][name] for name in ("code", "message", "param")}
    return {"type": "error", **told, "sequence_number": 0}


def _usage(answer: Answer) -> JSON:
    return {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens},
        "output_tokens": answer.output_tokens(),
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens()},
        "total_tokens": answer.prompt_tokens + answer.output_tokens(),
    }
