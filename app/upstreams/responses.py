"""Model servers that speak OpenAI's Responses API: OpenAI, Azure, vLLM, Ollama, LM Studio, OpenRouter and others."""

from collections.abc import Generator
from contextlib import closing
from uuid import UUID

from app.domain.deltas import Delta
from app.domain.jobs import Completed
from app.domain.output import assemble
from app.domain.requests import JSON, JobRequest
from app.upstreams import responses_answer
from app.upstreams.connection import ModelServer

_PATH = "/responses"
_FORWARDED = (
    "instructions",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "max_output_tokens",
    "max_tool_calls",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "truncation",
    "safety_identifier",
    "prompt_cache_key",
    "user",
)
# Metadata, storing and service tiers are ours: the server is only asked for an answer.
_OURS = {"store": False, "background": False}


class ResponsesUpstream:
    """The Responses API of one model server."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server

    def complete(self, request: JobRequest, *, model: str, job_id: UUID, timeout: float) -> Completed:
        """Answer the request; raise UpstreamError if the server does not, or not within `timeout` seconds."""
        answer = self._server.ask(_PATH, _body(request, model), job_id=job_id, timeout=timeout)
        return assemble(job_id, responses_answer.whole(answer))

    def stream(self, request: JobRequest, *, model: str, job_id: UUID, timeout: float) -> Generator[Delta, None, None]:
        """The same, piece by piece; `timeout` bounds the wait for each."""
        body = {**_body(request, model), "stream": True}
        with closing(self._server.stream(_PATH, body, job_id=job_id, timeout=timeout)) as events:
            yield from responses_answer.streamed(events)


def _body(request: JobRequest, model: str) -> JSON:
    forwarded = {name: getattr(request, name) for name in _FORWARDED}
    lists = {"tools": list(request.tools) or None, "include": list(request.include) or None}
    given = {name: value for name, value in {**forwarded, **lists}.items() if value is not None}
    return {"model": model, "input": _input(request), **given, **_OURS}


def _input(request: JobRequest) -> list[JSON]:
    return [sent for item in request.conversation if (sent := _item(item))]


def _item(item: JSON) -> JSON | None:
    if item["type"] != "reasoning":
        return item
    # The server keeps nothing, so it can only go on from reasoning that it sealed; our id for it means nothing there.
    if not item.get("encrypted_content"):
        return None
    return {name: item[name] for name in ("type", "summary", "encrypted_content")}
