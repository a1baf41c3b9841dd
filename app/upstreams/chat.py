"""Model servers that speak OpenAI's chat completions: OpenAI, Azure, vLLM, Ollama, llama.cpp, LiteLLM and others."""

from typing import Any
from uuid import UUID

import httpx2
from openai import DefaultHttpxClient, OpenAI, OpenAIError
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice

from app.domain.ids import public_id
from app.domain.jobs import JSON, Completed, Failure, JobRequest, Usage
from app.domain.ports import UpstreamError
from app.upstreams.failures import upstream_error

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ChatUpstream:
    """One model server. One client and one connection pool serve all jobs of the process."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        connect_timeout: float,
        max_tokens_parameter: str = "max_tokens",
    ) -> None:
        """Connect lazily. A server that wants no key gets a meaningless one: the SDK insists on it."""
        self._connect_timeout = connect_timeout
        self._max_tokens_parameter = max_tokens_parameter
        # Unlimited: a job that holds a slot of the worker must not wait for a connection besides.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
        self._client = OpenAI(
            base_url=base_url,
            api_key=api_key or "unused",
            # Tries are counted in the database, so that a crash in between loses no count.
            max_retries=0,
            http_client=DefaultHttpxClient(limits=limits),
        )

    def complete(self, request: JobRequest, *, model: str, job_id: UUID, timeout: float) -> Completed:
        """Answer the request; raise UpstreamError if the server does not, or not within `timeout` seconds."""
        try:
            answer = self._client.chat.completions.create(
                **self._parameters(request, model),
                timeout=httpx2.Timeout(timeout, connect=min(timeout, self._connect_timeout)),
                extra_headers={"X-Client-Request-Id": public_id(job_id)},
            )
        except (OpenAIError, httpx2.HTTPError, ValueError) as error:
            # ValueError: a body that is no JSON, which the SDK passes on as it comes.
            raise upstream_error(error) from error
        return _completed(answer, job_id)

    def _parameters(self, request: JobRequest, model: str) -> dict[str, Any]:
        optional = {
            "temperature": request.temperature,
            "top_p": request.top_p,
            self._max_tokens_parameter: request.max_output_tokens,
        }
        given = {name: value for name, value in optional.items() if value is not None}
        return {"model": model, "messages": _messages(request), **given}


def _messages(request: JobRequest) -> list[JSON]:
    instructions = [{"role": "system", "content": request.instructions}] if request.instructions else []
    return instructions + [{"role": i.role, "content": "\n\n".join(i.texts)} for i in request.inputs]


def _completed(answer: ChatCompletion, job_id: UUID) -> Completed:
    choice = _only_choice(answer)
    incomplete = _INCOMPLETE.get(str(choice.finish_reason))
    message = {
        "type": "message",
        "id": f"msg_{job_id.hex}",
        "status": "incomplete" if incomplete else "completed",
        "role": "assistant",
        "content": [_content(choice.message)],
    }
    return Completed([message], _usage(answer), incomplete)


def _only_choice(answer: ChatCompletion) -> Choice:
    # The SDK does not validate: whatever JSON a server sends arrives here, in the shape it was sent.
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Choice):
        raise _invalid("no choices")
    return choices[0]


def _content(message: ChatCompletionMessage | None) -> JSON:
    refusal = getattr(message, "refusal", None)
    if isinstance(refusal, str) and refusal:
        return {"type": "refusal", "refusal": refusal}
    text = getattr(message, "content", None)
    if not isinstance(text, str):
        raise _invalid("a message without content")
    return {"type": "output_text", "text": text, "annotations": []}


def _usage(answer: ChatCompletion) -> Usage | None:
    counts = [getattr(answer.usage, name, None) for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    known = [count for count in counts if isinstance(count, int)]
    return Usage(*known) if len(known) == len(counts) else None


def _invalid(what: str) -> UpstreamError:
    message = f"The model server answered with {what}. Check that the upstream speaks chat completions."
    return UpstreamError(Failure.UPSTREAM_INVALID_RESPONSE, message, retryable=True)
