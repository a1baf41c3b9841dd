"""A job as the OpenAI dialect shows it: one object that satisfies OpenAI's schema and that of Open Responses.

What the one schema allows to leave out and the other requires is always there; null is shown where both allow it.
"""

from app.api.snapshots import as_it_was, seconds
from app.domain.ids import public_id
from app.domain.jobs import Failure, Job
from app.domain.lifecycle import Status
from app.domain.requests import JSON

# OpenAI's schema lists the codes of failed responses. All others are a server_error; our own stand beside them.
_ERROR_CODES = {
    Failure.UPSTREAM_RATE_LIMITED: "rate_limit_exceeded",
    Failure.INVALID_PROMPT: "invalid_prompt",
}


def present(job: Job, *, stage: int | None = None) -> JSON:
    """The response object.

    `stage`: as it was then, made of what never changes.
    """
    shown = job if stage is None else as_it_was(job, stage)
    now = {"attempts": job.attempt} if stage is None else {}
    waiting = {} if shown.position is None else {"queue_position": shown.position}
    return {**_state(shown), **_asked(shown), **_times(shown), **now, **waiting}


def present_deleted(job_id: str) -> JSON:
    """The answer to DELETE."""
    return {"id": job_id, "object": "response", "deleted": True}


def present_models(names: list[str]) -> JSON:
    """The answer to `GET /v1/models`."""
    return {"object": "list", "data": [present_model(name) for name in names]}


def present_model(name: str) -> JSON:
    """One model. Nobody knows how old the models of the models file are."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "simmer"}


def _state(job: Job) -> JSON:
    return {
        "id": public_id(job.id),
        "object": "response",
        "status": "incomplete" if job.incomplete_reason else job.status.value,
        "created_at": seconds(job.created_at),
        "completed_at": _completed_at(job),
        "error": _error(job),
        "incomplete_details": {"reason": job.incomplete_reason} if job.incomplete_reason else None,
        "output": job.output or [],
        "usage": _usage(job.usage or {}),
    }


def _completed_at(job: Job) -> int | None:
    completed = job.ended_at and job.status is Status.COMPLETED and not job.incomplete_reason
    return seconds(job.ended_at) if job.ended_at and completed else None


def _error(job: Job) -> JSON | None:
    if job.status is not Status.FAILED:
        return None
    failure = Failure(job.error_code or Failure.SERVER_ERROR)
    return {
        "code": _ERROR_CODES.get(failure, "server_error"),
        "message": job.error_message,
        "failure_code": failure.value,
        "retryable": failure.retryable,
    }


def _usage(usage: JSON) -> JSON:
    """Zeros as long as nobody has counted: OpenAI's schema forbids null, and Open Responses requires the key."""
    counted = {name: usage.get(name, 0) for name in ("input_tokens", "output_tokens", "total_tokens")}
    read = {"cached_tokens": usage.get("cached_tokens", 0), "cache_write_tokens": usage.get("cache_write_tokens", 0)}
    written = {"reasoning_tokens": usage.get("reasoning_tokens", 0)}
    return {**counted, "input_tokens_details": read, "output_tokens_details": written}


def _times(job: Job) -> JSON:
    """Ours alone, and so left out where there is nothing to tell."""
    names = {Status.FAILED: "failed_at", Status.CANCELLED: "cancelled_at"}
    times = {
        "started_at": job.started_at,
        names.get(job.status): job.ended_at,
        "expires_at": job.expires_at,
    }
    return {name: seconds(at) for name, at in times.items() if name and at}


def _asked(job: Job) -> JSON:
    """What the client asked for, and what applies where it did not."""
    asked = job.request
    reasoning = asked.get("reasoning", {})
    tier = asked.get("service_tier", "auto")
    return {
        "model": job.model,
        "background": job.background,
        "store": job.store,
        "metadata": job.metadata,
        "instructions": asked.get("instructions"),
        "previous_response_id": asked.get("previous_response_id"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": asked.get("max_tool_calls"),
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": asked.get("safety_identifier"),
        "prompt_cache_key": asked.get("prompt_cache_key"),
        # Which queue it was, where the client left that open.
        "service_tier": "default" if tier == "auto" else tier,
        "text": _text(asked.get("text", {})),
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": [_tool(tool) for tool in asked.get("tools", ())],
        "truncation": asked.get("truncation", "disabled"),
        **_sampling(asked),
        **({"user": asked["user"]} if "user" in asked else {}),
    }


def _sampling(asked: JSON) -> JSON:
    # float(): 1 and 1.0 are the same to the database and to JSON, but not the same bytes.
    return {
        "temperature": float(asked.get("temperature", 1)),
        "top_p": float(asked.get("top_p", 1)),
        "presence_penalty": float(asked.get("presence_penalty", 0)),
        "frequency_penalty": float(asked.get("frequency_penalty", 0)),
        "top_logprobs": asked.get("top_logprobs", 0),
    }


def _text(text: JSON) -> JSON:
    shown = text.get("format", {"type": "text"})
    if shown["type"] == "json_schema":
        # Open Responses requires both, and OpenAI knows no null for the first.
        shown = {"description": "", **shown, "strict": bool(shown.get("strict"))}
    return {**text, "format": shown}


def _tool(tool: JSON) -> JSON:
    return {"description": None, "parameters": None, "strict": None, **tool} if tool["type"] == "function" else tool
