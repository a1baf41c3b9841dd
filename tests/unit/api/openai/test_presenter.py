"""The response object: what each state shows, and that it satisfies both schemas in each."""

import json
from dataclasses import replace
from typing import Any

import pytest
from openai.types.responses import Response

from app.api.openai.presenter import present, present_deleted, present_model, present_models
from app.api.openai.schemas import CreateResponse
from app.api.validation import validate
from app.domain.events import CREATED, IN_PROGRESS, QUEUED
from app.domain.jobs import Failure, Job
from app.domain.requests import JSON
from tests import schemas
from tests.unit.api import jobs

FUNCTION = {"type": "function", "name": "f"}
FORM = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
PARAMETERS: dict[str, Any] = {
    "model": "gpt-4.1",
    "input": "hi",
    "instructions": "be brief",
    "store": False,
    "metadata": {"k": "v"},
    "temperature": 0,
    "top_p": 0.5,
    "presence_penalty": 1,
    "frequency_penalty": -1,
    "top_logprobs": 3,
    "max_output_tokens": 1,
    "max_tool_calls": 2,
    "tools": [FUNCTION, FUNCTION | {"name": "g", "description": "d", "parameters": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [FUNCTION]},
    "parallel_tool_calls": False,
    "text": {"format": FORM, "verbosity": "low"},
    "reasoning": {"effort": "high", "summary": "auto"},
    "truncation": "auto",
    "previous_response_id": "resp_0195a1b2c3d47e5f8a9b0c1d2e3f4a5c",
    "service_tier": "flex",
    "safety_identifier": "s",
    "prompt_cache_key": "p",
    "user": "u",
}


def created(job: Job, **parameters: Any) -> Job:
    """The job with its request as the database gives it back."""
    request = validate(CreateResponse, {"model": "gpt-4.1", "input": "hi"} | parameters).to_job_request()
    return replace(job, request=json.loads(json.dumps(request.parameters())), store=request.store)


NUMBERS = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
NO_USAGE = NUMBERS | {
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
BASE = {
    "id": "resp_0195a1b2c3d47e5f8a9b0c1d2e3f4a5b",
    "object": "response",
    "created_at": 1_741_486_542,
    "completed_at": None,
    "model": "gpt-4.1",
    "background": True,
    "store": True,
    "metadata": {"k": "v"},
    "output": [],
    "usage": NO_USAGE,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "previous_response_id": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "safety_identifier": None,
    "prompt_cache_key": None,
    "temperature": 1.0,
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "reasoning": {"effort": None, "summary": None},
    "truncation": "disabled",
    "service_tier": "default",
}
STARTED = BASE | {"attempts": 1, "started_at": 1_741_486_543}
ENDED = STARTED | {"expires_at": 1_741_572_942}
AT = 1_741_486_550
USAGE = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
    "output_tokens": 450,
    "output_tokens_details": {"reasoning_tokens": 7},
    "total_tokens": 462,
}
ERROR = {"code": "server_error", "message": "Too slow.", "failure_code": "timeout", "retryable": True}
CUT = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
SHOWN = {
    "queued": BASE | {"status": "queued", "attempts": 0},
    "running": STARTED | {"status": "in_progress"},
    "completed": ENDED | {"status": "completed", "completed_at": AT, "output": jobs.OUTPUT, "usage": USAGE},
    "incomplete": ENDED | CUT | {"output": jobs.OUTPUT, "usage": USAGE},
    "failed": ENDED | {"status": "failed", "failed_at": AT, "error": ERROR},
    "cancelled": ENDED | {"status": "cancelled", "cancelled_at": AT},
    "cancelled in the queue": BASE
    | {"status": "cancelled", "cancelled_at": AT, "attempts": 0, "expires_at": 1_741_572_942},
}


@pytest.mark.parametrize("state", jobs.STATES)
def test_each_state_shows_exactly_its_keys(state: str) -> None:
    assert present(jobs.STATES[state]) == SHOWN[state]


@pytest.mark.parametrize("state", jobs.STATES)
@pytest.mark.parametrize("stage", [None, CREATED, QUEUED, IN_PROGRESS])
@pytest.mark.parametrize("parameters", [{}, PARAMETERS], ids=["defaults", "everything"])
def test_both_schemas_are_satisfied(state: str, stage: int | None, parameters: JSON) -> None:
    shown = present(created(jobs.STATES[state], **parameters), stage=stage)
    assert schemas.response_errors(shown) == []
    assert Response.model_validate(shown, strict=True).id == shown["id"]


def test_what_was_asked_for_is_shown() -> None:
    shown = present(created(jobs.COMPLETED, **PARAMETERS))
    as_given = {name: value for name, value in PARAMETERS.items() if name not in {"input", "tools", "text"}}
    assert {name: shown[name] for name in as_given} == as_given
    assert shown["text"] == {"format": FORM | {"description": "", "strict": False}, "verbosity": "low"}
    assert shown["tools"] == [FUNCTION | dict.fromkeys(["description", "parameters", "strict"]), PARAMETERS["tools"][1]]


def test_a_hosted_tool_is_shown_as_it_was_given() -> None:
    tool = {"type": "web_search", "size": None}
    assert present(created(jobs.QUEUED, tools=[tool]))["tools"] == [tool]


@pytest.mark.parametrize(
    "asked",
    [
        {"reasoning": {"effort": "minimal"}},
        {"reasoning": {"effort": "max"}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}], "tool_choice": {"type": "file_search"}},
    ],
)
def test_where_the_schemas_contradict_each_other_openais_is_followed(asked: JSON) -> None:
    shown = present(created(jobs.QUEUED, **asked))
    assert schemas.errors("openai", "Response", shown) == []
    # If this fails the two have come together: see docs/adr/0010.
    assert schemas.errors("open", "ResponseResource", shown) != []


@pytest.mark.parametrize(
    ("asked", "shown"),
    [(None, "default"), ("auto", "default"), ("default", "default"), ("flex", "flex"), ("priority", "priority")],
)
def test_the_tier_is_the_one_that_was_used(asked: str | None, shown: str) -> None:
    assert present(created(jobs.QUEUED, service_tier=asked))["service_tier"] == shown


@pytest.mark.parametrize("number", [1, 1.0])
def test_a_number_is_the_same_bytes_however_it_was_stored(number: float) -> None:
    names = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
    shown = present(replace(jobs.QUEUED, request=dict.fromkeys(names, number)))
    assert json.dumps([shown[name] for name in names]) == "[1.0, 1.0, 1.0, 1.0]"


@pytest.mark.parametrize(("stage", "status"), [(CREATED, "queued"), (QUEUED, "queued"), (IN_PROGRESS, "in_progress")])
def test_a_stage_is_shown_the_same_whatever_became_of_the_job(stage: int, status: str) -> None:
    now = replace(jobs.RUNNING, attempt=3, worker="another", position=1)
    later = [jobs.RUNNING, now, jobs.COMPLETED, jobs.INCOMPLETE, jobs.FAILED, jobs.CANCELLED]
    shown = {json.dumps(present(created(job, **PARAMETERS), stage=stage)) for job in later}
    assert len(shown) == 1
    snapshot = json.loads(shown.pop())
    assert snapshot["status"] == status
    assert ("started_at" in snapshot) is (stage == IN_PROGRESS)
    assert not {"attempts", "queue_position", "expires_at", "failed_at", "cancelled_at"} & snapshot.keys()
    assert (snapshot["completed_at"], snapshot["output"], snapshot["usage"]) == (None, [], NO_USAGE)


def test_a_place_in_the_queue_is_shown_if_it_is_known() -> None:
    assert present(replace(jobs.QUEUED, position=3)) == SHOWN["queued"] | {"queue_position": 3}


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_has_a_code_of_openais_and_our_own(failure: Failure) -> None:
    shown = present(replace(jobs.FAILED, error_code=failure.value))
    codes = {Failure.UPSTREAM_RATE_LIMITED: "rate_limit_exceeded", Failure.INVALID_PROMPT: "invalid_prompt"}
    told = {"code": codes.get(failure, "server_error"), "failure_code": failure.value, "retryable": failure.retryable}
    assert shown["error"] == {"message": "Too slow.", **told}
    assert schemas.response_errors(shown) == []


def test_neither_the_worker_nor_the_key_is_shown() -> None:
    for job in jobs.STATES.values():
        assert "secret-host" not in str(present(job))
        assert job.api_key_id.hex not in str(present(job))


def test_a_deleted_response() -> None:
    assert present_deleted("resp_1") == {"id": "resp_1", "object": "response", "deleted": True}


def test_models() -> None:
    shown = present_models(["a", "b/c"])
    assert shown == {"object": "list", "data": [present_model("a"), present_model("b/c")]}
    assert present_model("a") == {"id": "a", "object": "model", "created": 0, "owned_by": "simmer"}
    assert schemas.errors("openai", "ListModelsResponse", shown) == []
