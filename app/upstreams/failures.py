"""What an error of a model server means for the job: its failure code, and whether to try again."""

import time
from email.utils import parsedate_to_datetime

import httpx2
from openai import APIConnectionError, APIResponseValidationError, APIStatusError, APITimeoutError

from app.domain.jobs import Failure
from app.domain.ports import UpstreamError

_PROMPT_CODES = {
    "context_length_exceeded": Failure.CONTEXT_LENGTH_EXCEEDED,
    "exceed_context_size_error": Failure.CONTEXT_LENGTH_EXCEEDED,  # llama.cpp, as `type`
    "invalid_prompt": Failure.INVALID_PROMPT,
    "content_policy_violation": Failure.INVALID_PROMPT,
    "content_filter": Failure.INVALID_PROMPT,  # Azure
}
_ADVICE = {
    Failure.CONTEXT_LENGTH_EXCEEDED: "The prompt is longer than the model can take. Shorten it, or the conversation.",
    Failure.INVALID_PROMPT: "The model server refused the prompt, perhaps for its content. Send another one.",
}
_OUT_OF_MONEY = "insufficient_quota"
_STATUS_OF_CODE = {"rate_limit_exceeded": 429, _OUT_OF_MONEY: 429, "invalid_request_error": 400}


def upstream_error(error: Exception) -> UpstreamError:
    """Classify what the SDK raised. The server's own words are left out: they may quote the prompt."""
    if isinstance(error, APIStatusError):
        return _of_status(error.status_code, (error.code, error.type), _retry_after(error))
    if isinstance(error, APITimeoutError | httpx2.TimeoutException):
        message = "The model server did not answer in time."
        return UpstreamError(Failure.UPSTREAM_UNAVAILABLE, message, retryable=True)
    if isinstance(error, APIResponseValidationError | ValueError | RecursionError):
        message = "The model server's answer is not JSON. Check that the upstream speaks the protocol it is set to."
        return UpstreamError(Failure.UPSTREAM_INVALID_RESPONSE, message, retryable=True)
    cut = isinstance(error, APIConnectionError)
    message = "The model server could not be reached." if cut else "The connection to the model server broke."
    return UpstreamError(Failure.UPSTREAM_UNAVAILABLE, message, retryable=True)


def reported_error(error: object) -> UpstreamError:
    """Classify an error that a server reports inside of an answer, where no HTTP status tells what it is.

    Servers put OpenAI's codes there, or the status they would have answered with, or nothing of use.
    """
    told = error if isinstance(error, dict) else {}
    codes = (told.get("code"), told.get("type"))
    status = next(filter(None, map(_status_in, codes)), None)
    if status or _prompt_failure(codes):
        return _of_status(status or 400, codes, None)
    return UpstreamError(Failure.UPSTREAM_UNAVAILABLE, "The model server reported an error of its own.", retryable=True)


def broken_stream() -> UpstreamError:
    """A stream that ended before its answer did, or that can't be read on."""
    message = "The model server's answer broke off before its end."
    return UpstreamError(Failure.UPSTREAM_UNAVAILABLE, message, retryable=True)


def invalid_answer(what: str) -> UpstreamError:
    """An answer in another form than the protocol's; `what` names the form, not what the server said."""
    message = f"The model server answered with {what}. Check that the upstream speaks the protocol it is set to."
    return UpstreamError(Failure.UPSTREAM_INVALID_RESPONSE, message, retryable=True)


def _of_status(status: int, codes: tuple[object, object], retry_after: float | None) -> UpstreamError:
    prompt = _prompt_failure(codes)
    if prompt:
        return UpstreamError(prompt, _ADVICE[prompt])
    if status == 429:
        message = "The model server is limiting its rate or quota. Try again later."
        retryable = _OUT_OF_MONEY not in codes
        return UpstreamError(Failure.UPSTREAM_RATE_LIMITED, message, retryable=retryable, retry_after=retry_after)
    if status in {408, 409} or status >= 500:
        message = f"The model server answered with status {status}."
        return UpstreamError(Failure.UPSTREAM_UNAVAILABLE, message, retryable=True, retry_after=retry_after)
    message = f"The model server refused the request with status {status}. Check the upstream's key and model name."
    return UpstreamError(Failure.UPSTREAM_ERROR, message)


def _prompt_failure(codes: tuple[object, object]) -> Failure | None:
    return next((failure for code, failure in _PROMPT_CODES.items() if code in codes), None)


def _status_in(code: object) -> int | None:
    text = str(code)
    if text.isdecimal() and len(text) == 3 and text >= "400":
        return int(text)
    return _STATUS_OF_CODE.get(text)


def _retry_after(error: APIStatusError) -> float | None:
    """Seconds that the server asks us to wait (RFC 9110, section 10.2.3: a number, or a date)."""
    header = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
