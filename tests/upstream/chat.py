"""Answers of the mock as chat completions."""

from collections.abc import Iterator
from typing import Any

from tests.upstream.answers import CREATED, Answer, logprob, words
from tests.upstream.questions import Question

JSON = dict[str, Any]


def completion(answer: Answer, question: Question) -> JSON:
    message: JSON = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
    if answer.reasoning:
        message[_reasoning_name(answer)] = "".join(answer.reasoning)
    if answer.tool_calls:
        message["tool_calls"] = [_tool_call(answer, index) for index in range(len(answer.tool_calls))]
    choice = {"index": 0, "message": message, "finish_reason": answer.finish, "logprobs": None}
    if question.logprobs:
        choice["logprobs"] = _logprobs(*words(answer.text or ""))
    body = {**_head(answer, "chat.completion"), "choices": [choice] if answer.has_choices else []}
    return {**body, "usage": _usage(answer)} if answer.has_usage else body


def chunks(answer: Answer, question: Question) -> Iterator[JSON]:
    head = _head(answer, "chat.completion.chunk") | ({"usage": None} if question.include_usage else {})
    if answer.has_choices:
        for delta in _deltas(answer):
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            if question.logprobs:
                choice["logprobs"] = _logprobs(delta["content"]) if delta.get("content") else None
            yield head | {"choices": [choice]}
        if answer.has_end:
            yield head | {"choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish}]}
    if question.include_usage and answer.has_usage:
        yield head | {"choices": [], "usage": _usage(answer)}


def _deltas(answer: Answer) -> Iterator[JSON]:
    yield {"role": "assistant", "content": None if answer.text is None else ""}
    for thought in answer.reasoning:
        yield from ({_reasoning_name(answer): piece, "content": None} for piece in words(thought))
    yield from ({"content": piece} for piece in words(answer.text or ""))
    yield from ({"refusal": piece} for piece in words(answer.refusal or ""))
    begun: set[int] = set()
    for index, piece in answer.argument_pieces():
        if index not in begun:
            begun.add(index)
            yield {"tool_calls": [{"index": index, **_tool_call(answer, index, arguments="")}]}
        yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _reasoning_name(answer: Answer) -> str:
    return "reasoning" if answer.raw_reasoning else "reasoning_content"


def _tool_call(answer: Answer, index: int, arguments: str | None = None) -> JSON:
    call = answer.tool_calls[index]
    function = {"name": call.name, "arguments": call.arguments if arguments is None else arguments}
    return {"id": call.id, "type": "function", "function": function}


def _logprobs(*tokens: str) -> JSON:
    return {"content": [logprob(token, with_bytes=False) for token in tokens], "refusal": None}


def _head(answer: Answer, kind: str) -> JSON:
    return {"id": f"chatcmpl-mock-{answer.key}", "object": kind, "created": CREATED, "model": answer.model}


def _usage(answer: Answer) -> JSON:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.output_tokens(),
        "total_tokens": answer.prompt_tokens + answer.output_tokens(),
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens(),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
