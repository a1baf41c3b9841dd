"""Model servers that speak OpenAI's chat completions: OpenAI, Azure, vLLM, Ollama, llama.cpp, LiteLLM and others."""

from collections.abc import Generator
from contextlib import closing
from uuid import UUID

from app.domain.deltas import Delta
from app.domain.jobs import Completed
from app.domain.output import assemble
from app.domain.requests import JSON, JobRequest
from app.upstreams import chat_answer
from app.upstreams.chat_messages import messages
from app.upstreams.connection import ModelServer

_PATH = "/chat/completions"
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}
_LOGPROBS = "message.output_text.logprobs"


class ChatUpstream:
    """The chat completions of one model server."""

    def __init__(self, server: ModelServer, *, max_tokens_parameter: str = "max_tokens") -> None:
        """`max_tokens_parameter` is what the server calls the limit of its answer."""
        self._server = server
        self._max_tokens_parameter = max_tokens_parameter

    def complete(self, request: JobRequest, *, model: str, job_id: UUID, timeout: float) -> Completed:
        """Answer the request; raise UpstreamError if the server does not, or not within `timeout` seconds."""
        body = self._body(request, model)
        answer = self._server.ask(_PATH, body, job_id=job_id, timeout=timeout)
        return assemble(job_id, chat_answer.whole(answer))

    def stream(self, request: JobRequest, *, model: str, job_id: UUID, timeout: float) -> Generator[Delta, None, None]:
        """The same, piece by piece; `timeout` bounds the wait for each."""
        body = {**self._body(request, model), **_STREAM}
        with closing(self._server.stream(_PATH, body, job_id=job_id, timeout=timeout)) as chunks:
            yield from chat_answer.streamed(chunks)

    def _body(self, request: JobRequest, model: str) -> JSON:
        reasoning = request.reasoning or {}
        text = request.text or {}
        optional = {
            "temperature": request.temperature,
            "top_p": request.top_p,
            "presence_penalty": request.presence_penalty,
            "frequency_penalty": request.frequency_penalty,
            self._max_tokens_parameter: request.max_output_tokens,
            "response_format": _response_format(text.get("format")),
            "verbosity": text.get("verbosity"),
            "reasoning_effort": reasoning.get("effort"),
            "user": request.user,
            "safety_identifier": request.safety_identifier,
            "prompt_cache_key": request.prompt_cache_key,
            **_tools(request),
            **_logprobs(request),
        }
        given = {name: value for name, value in optional.items() if value is not None}
        return {"model": model, "messages": messages(request), **given}


def _response_format(given: JSON | None) -> JSON | None:
    if not given or given["type"] == "text":
        return None
    if given["type"] != "json_schema":
        return {"type": given["type"]}
    schema = {name: given[name] for name in ("name", "description", "schema", "strict") if given.get(name) is not None}
    return {"type": "json_schema", "json_schema": schema}


def _tools(request: JobRequest) -> JSON:
    functions = [tool for tool in request.tools if tool["type"] == "function"]
    choice = request.tool_choice
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        # By leaving out the others: few servers know this choice, and to all it comes to the same.
        allowed = {tool.get("name") for tool in choice["tools"]}
        functions = [tool for tool in functions if tool["name"] in allowed]
        choice = choice["mode"]
    if not functions:
        return {}
    return {
        "tools": [_tool(tool) for tool in functions],
        "tool_choice": _tool_choice(choice),
        "parallel_tool_calls": request.parallel_tool_calls,
    }


def _tool(tool: JSON) -> JSON:
    names = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in names if tool.get(name) is not None}}


def _tool_choice(choice: str | JSON | None) -> str | JSON | None:
    if isinstance(choice, dict) and choice["type"] == "function":
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice


def _logprobs(request: JobRequest) -> JSON:
    if not request.top_logprobs and _LOGPROBS not in request.include:
        return {}
    return {"logprobs": True, "top_logprobs": request.top_logprobs}
