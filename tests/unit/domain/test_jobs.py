"""How jobs can end, and what is said of it."""

from app.domain.jobs import Failure, Usage


def test_only_a_request_that_is_wrong_by_itself_is_not_worth_repeating() -> None:
    hopeless = {Failure.INVALID_PROMPT, Failure.CONTEXT_LENGTH_EXCEEDED, Failure.UPSTREAM_ERROR}
    assert {failure for failure in Failure if not failure.retryable} == hopeless


def test_failure_codes_are_the_contracts() -> None:
    assert {failure.value for failure in Failure} == {
        "timeout",
        "worker_lost",
        "upstream_rate_limited",
        "upstream_unavailable",
        "upstream_error",
        "upstream_invalid_response",
        "invalid_prompt",
        "context_length_exceeded",
        "queue_timeout",
        "server_error",
    }


def test_usage_is_shown_by_the_contracts_names() -> None:
    assert Usage(12, 450, 462, 5, 40).to_json() == {
        "input_tokens": 12,
        "output_tokens": 450,
        "total_tokens": 462,
        "cached_tokens": 5,
        "reasoning_tokens": 40,
    }
