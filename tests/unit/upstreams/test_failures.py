"""What each answer of a model server means for the job."""

import json
import time
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import APIConnectionError, APIResponseValidationError, APIStatusError, APITimeoutError, OpenAI

from app.domain.jobs import Failure
from app.domain.ports import UpstreamError
from app.upstreams.failures import reported_error, upstream_error

REQUEST = httpx2.Request("POST", "http://upstream.test/v1/chat/completions")
SDK = OpenAI(api_key="unused", base_url="http://upstream.test/v1")
CANARY = "canary-90ab"
NOW = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:14:20 GMT"
"""One minute after NOW."""


def answered(status: int, error: Any = None, **headers: str) -> APIStatusError:
    """What the SDK makes of such an answer."""
    body = json.dumps({"error": {"message": CANARY, **error} if isinstance(error, dict) else error})
    response = httpx2.Response(status, text=body, headers=headers, request=REQUEST)
    return SDK._make_status_error_from_response(response)


def verdict(error: Exception) -> tuple[Failure, bool]:
    found = upstream_error(error)
    assert CANARY not in found.message
    assert found.message.endswith(".")
    return found.failure, found.retryable


@pytest.mark.parametrize(
    ("status", "error", "failure", "retryable"),
    [
        (400, {}, Failure.UPSTREAM_ERROR, False),
        (401, {"code": "invalid_api_key"}, Failure.UPSTREAM_ERROR, False),
        (403, {}, Failure.UPSTREAM_ERROR, False),
        (404, {"code": "model_not_found"}, Failure.UPSTREAM_ERROR, False),
        (413, {}, Failure.UPSTREAM_ERROR, False),
        (422, {}, Failure.UPSTREAM_ERROR, False),
        (408, {}, Failure.UPSTREAM_UNAVAILABLE, True),
        (409, {}, Failure.UPSTREAM_UNAVAILABLE, True),
        (500, {}, Failure.UPSTREAM_UNAVAILABLE, True),
        (502, None, Failure.UPSTREAM_UNAVAILABLE, True),
        (503, {}, Failure.UPSTREAM_UNAVAILABLE, True),
        (504, {}, Failure.UPSTREAM_UNAVAILABLE, True),
        (529, {}, Failure.UPSTREAM_UNAVAILABLE, True),
        (429, {"code": "rate_limit_exceeded"}, Failure.UPSTREAM_RATE_LIMITED, True),
        (429, {"code": "insufficient_quota"}, Failure.UPSTREAM_RATE_LIMITED, False),
        (429, {"type": "insufficient_quota"}, Failure.UPSTREAM_RATE_LIMITED, False),
        (400, {"code": "context_length_exceeded"}, Failure.CONTEXT_LENGTH_EXCEEDED, False),
        (400, {"type": "exceed_context_size_error", "code": 400}, Failure.CONTEXT_LENGTH_EXCEEDED, False),
        (500, {"code": "context_length_exceeded"}, Failure.CONTEXT_LENGTH_EXCEEDED, False),
        (400, {"code": "invalid_prompt"}, Failure.INVALID_PROMPT, False),
        (400, {"code": "content_policy_violation"}, Failure.INVALID_PROMPT, False),
        (400, {"code": "content_filter"}, Failure.INVALID_PROMPT, False),
        # Servers of any kind: what stands for a code may be no text.
        (400, {"code": {"a": 1}, "type": ["b"]}, Failure.UPSTREAM_ERROR, False),
        (500, {"code": 500}, Failure.UPSTREAM_UNAVAILABLE, True),
        (400, "just text", Failure.UPSTREAM_ERROR, False),
        (400, [1], Failure.UPSTREAM_ERROR, False),
    ],
)
def test_status_and_code(status: int, error: Any, failure: Failure, retryable: bool) -> None:
    assert verdict(answered(status, error)) == (failure, retryable)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (APITimeoutError(REQUEST), Failure.UPSTREAM_UNAVAILABLE),
        (APIConnectionError(message=CANARY, request=REQUEST), Failure.UPSTREAM_UNAVAILABLE),
        (httpx2.RemoteProtocolError(CANARY), Failure.UPSTREAM_UNAVAILABLE),
        (httpx2.ReadTimeout(CANARY), Failure.UPSTREAM_UNAVAILABLE),
        (RecursionError(CANARY), Failure.UPSTREAM_INVALID_RESPONSE),
        (json.JSONDecodeError(CANARY, CANARY, 0), Failure.UPSTREAM_INVALID_RESPONSE),
        (UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, CANARY), Failure.UPSTREAM_INVALID_RESPONSE),
        (
            APIResponseValidationError(httpx2.Response(200, request=REQUEST), None, message=CANARY),
            Failure.UPSTREAM_INVALID_RESPONSE,
        ),
    ],
)
def test_no_answer_or_none_that_can_be_read_is_worth_another_try(error: Exception, failure: Failure) -> None:
    assert verdict(error) == (failure, True)


@pytest.mark.parametrize(
    ("error", "failure", "retryable"),
    [
        ({"code": "server_error"}, Failure.UPSTREAM_UNAVAILABLE, True),
        ({"code": None, "type": "server_error"}, Failure.UPSTREAM_UNAVAILABLE, True),
        ({}, Failure.UPSTREAM_UNAVAILABLE, True),
        (None, Failure.UPSTREAM_UNAVAILABLE, True),
        (CANARY, Failure.UPSTREAM_UNAVAILABLE, True),
        ({"code": {"a": 1}, "type": [2]}, Failure.UPSTREAM_UNAVAILABLE, True),
        ({"code": True}, Failure.UPSTREAM_UNAVAILABLE, True),
        ({"code": 200}, Failure.UPSTREAM_UNAVAILABLE, True),
        ({"code": 503}, Failure.UPSTREAM_UNAVAILABLE, True),
        ({"code": "502"}, Failure.UPSTREAM_UNAVAILABLE, True),
        ({"code": 400, "type": "BadRequestError"}, Failure.UPSTREAM_ERROR, False),
        ({"code": 429}, Failure.UPSTREAM_RATE_LIMITED, True),
        ({"code": "rate_limit_exceeded"}, Failure.UPSTREAM_RATE_LIMITED, True),
        ({"code": "insufficient_quota"}, Failure.UPSTREAM_RATE_LIMITED, False),
        ({"type": "invalid_request_error"}, Failure.UPSTREAM_ERROR, False),
        ({"type": "invalid_request_error", "code": "invalid_prompt"}, Failure.INVALID_PROMPT, False),
        ({"code": 400, "type": "exceed_context_size_error"}, Failure.CONTEXT_LENGTH_EXCEEDED, False),
        ({"code": "context_length_exceeded"}, Failure.CONTEXT_LENGTH_EXCEEDED, False),
    ],
)
def test_errors_that_stand_in_an_answer(error: Any, failure: Failure, retryable: bool) -> None:
    found = reported_error({"message": CANARY, **error} if isinstance(error, dict) else error)
    assert (found.failure, found.retryable) == (failure, retryable)
    assert CANARY not in found.message


def asked_to_wait(header: str, status: int = 429) -> float | None:
    found: UpstreamError = upstream_error(answered(status, {}, **{"retry-after": header}))
    return found.retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("7", 7), ("1.5", 1.5), ("-3", 0), (DATE, 60), ("Mon, 13 Nov 2023 22:14:20 GMT", 0)],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_a_number_or_a_date(
    monkeypatch: pytest.MonkeyPatch, header: str, seconds: float, status: int
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert asked_to_wait(header, status) == seconds


@pytest.mark.parametrize("header", ["", "soon", "7 s", "Tue, 99 Nov 2023 22:14:20 GMT"])
def test_a_retry_after_that_is_neither_is_left_out(header: str) -> None:
    assert asked_to_wait(header) is None


def test_a_retry_after_that_is_not_sent_is_none() -> None:
    assert upstream_error(answered(429, {})).retry_after is None


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_no_retry_after_does_harm(header: str) -> None:
    waited = asked_to_wait(header)
    assert waited is None or waited >= 0


@pytest.mark.parametrize("header", ["Mon, 01 Jan 0001 00:00:00 -0000", "Fri, 31 Dec 9999 23:59:59 -0000", "nan"])
def test_dates_at_the_edges_do_no_harm(header: str) -> None:
    waited = asked_to_wait(header)
    assert waited is None or waited >= 0


def test_a_refusal_that_no_wait_helps_carries_none() -> None:
    assert asked_to_wait("7", status=400) is None
