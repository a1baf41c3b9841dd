"""The canonical request and what stands around it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.jobs import Failure, InputMessage, JobRequest, Usage

numbers = st.floats(allow_nan=False, allow_infinity=False)
messages = st.builds(
    InputMessage,
    role=st.sampled_from(["system", "user", "assistant"]),
    texts=st.lists(st.text(), max_size=4).map(tuple),
)
requests = st.builds(
    JobRequest,
    model=st.text(),
    inputs=st.lists(messages, max_size=4).map(tuple),
    instructions=st.none() | st.text(),
    temperature=st.none() | numbers,
    top_p=st.none() | numbers,
    max_output_tokens=st.none() | st.integers(),
    metadata=st.dictionaries(st.text(), st.text(), max_size=4),
)


@given(requests)
def test_a_request_survives_its_stored_form(request: JobRequest) -> None:
    stored = json.dumps(request.to_json())
    assert JobRequest.from_json(json.loads(stored)) == request


def test_parameters_that_were_not_given_are_not_stored() -> None:
    request = JobRequest(model="m", inputs=(InputMessage("user", ("hi",)),))
    assert request.to_json() == {"model": "m", "inputs": ({"role": "user", "texts": ("hi",)},)}


@pytest.mark.parametrize("name", ["temperature", "top_p", "max_output_tokens"])
def test_a_zero_is_given(name: str) -> None:
    request = JobRequest.from_json({"model": "m", "inputs": [], name: 0})
    assert request.to_json()[name] == 0


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
    assert Usage(12, 450, 462).to_json() == {"input_tokens": 12, "output_tokens": 450, "total_tokens": 462}
