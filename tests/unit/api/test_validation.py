"""From a wrong parameter to one problem: its path, its code, never its value."""

from typing import Any

import pytest

from app.api.freddy.schemas import MAX_INPUTS, CreateResponse, ListQuery
from app.api.validation import validate
from app.domain.errors import InvalidRequestError
from app.domain.ids import new_id, public_id
from app.domain.jobs import InputMessage, JobRequest
from app.domain.lifecycle import Status

CANARY = "canary-b3d0"
MESSAGE = {"role": "user", "texts": [{"text": "hi"}]}
GOOD: dict[str, Any] = {"model": "m", "background": True, "inputs": [MESSAGE]}


def problem(model: type[CreateResponse | ListQuery], values: dict[str, Any]) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequestError) as refused:
        validate(model, values)
    error = refused.value
    assert CANARY not in error.message
    assert error.message.endswith(".")
    assert "Value error" not in error.message
    return error.error_code, error.param


def test_the_contracts_body() -> None:
    text = "Write a detailed article about AI"
    body = {"model": "gpt-4.1", "background": True, "inputs": [{"role": "user", "texts": [{"text": text}]}]}
    found = validate(CreateResponse, body).to_job_request()
    assert found == JobRequest(model="gpt-4.1", inputs=(InputMessage("user", (text,)),))


def test_a_body_with_everything() -> None:
    body: dict[str, Any] = {
        "model": "m",
        "background": True,
        "stream": False,
        "inputs": [{"role": role, "texts": [{"text": "a"}, {"text": ""}]} for role in ("system", "assistant", "user")],
        "instructions": "be brief",
        "temperature": 0,
        "top_p": 0.5,
        "max_output_tokens": 2**31 - 1,
        "metadata": {"k" * 64: "v" * 512, "": ""} | {str(number): "" for number in range(14)},
    }
    assert validate(CreateResponse, body).to_job_request() == JobRequest(
        model="m",
        inputs=tuple(InputMessage(role, ("a", "")) for role in ("system", "assistant", "user")),
        instructions="be brief",
        temperature=0,
        top_p=0.5,
        max_output_tokens=2**31 - 1,
        metadata=body["metadata"],
    )


def test_null_is_the_same_as_left_out() -> None:
    optional = dict.fromkeys(["instructions", "temperature", "top_p", "max_output_tokens", "metadata"])
    assert validate(CreateResponse, GOOD | optional) == validate(CreateResponse, GOOD | {"instructions": None})


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"model": ...}, "missing_required_parameter", "model"),
        ({"model": ""}, "missing_required_parameter", "model"),
        ({"model": None}, "invalid_type", "model"),
        ({"model": 4.1}, "invalid_type", "model"),
        ({"model": "m" * 257}, "string_too_long", "model"),
        ({"inputs": ...}, "missing_required_parameter", "inputs"),
        ({"inputs": []}, "missing_required_parameter", "inputs"),
        ({"inputs": CANARY}, "invalid_type", "inputs"),
        ({"inputs": {}}, "invalid_type", "inputs"),
        ({"inputs": [CANARY]}, "invalid_type", "inputs[0]"),
        ({"inputs": [MESSAGE] * (MAX_INPUTS + 1)}, "array_too_long", "inputs"),
        ({"inputs": [{"texts": [{"text": ""}]}]}, "missing_required_parameter", "inputs[0].role"),
        ({"inputs": [MESSAGE | {"role": CANARY}]}, "invalid_value", "inputs[0].role"),
        ({"inputs": [MESSAGE | {"role": "User"}]}, "invalid_value", "inputs[0].role"),
        ({"inputs": [MESSAGE, {"role": "user"}]}, "invalid_value", "inputs[1]"),
        ({"inputs": [MESSAGE, {"role": "user", "texts": None}]}, "invalid_value", "inputs[1]"),
        ({"inputs": [MESSAGE | {"texts": []}]}, "missing_required_parameter", "inputs[0].texts"),
        ({"inputs": [MESSAGE | {"texts": [{}]}]}, "missing_required_parameter", "inputs[0].texts[0].text"),
        ({"inputs": [MESSAGE | {"texts": [{"text": 1}]}]}, "invalid_type", "inputs[0].texts[0].text"),
        ({"inputs": [MESSAGE | {"name": CANARY}]}, "unknown_parameter", "inputs[0].name"),
        ({"background": "true"}, "invalid_type", "background"),
        ({"background": 1}, "invalid_type", "background"),
        ({"background": None}, "invalid_type", "background"),
        ({"stream": 1}, "invalid_type", "stream"),
        ({"temperature": -1}, "out_of_range", "temperature"),
        ({"temperature": 1e308}, "out_of_range", "temperature"),
        ({"temperature": 10**39}, "out_of_range", "temperature"),
        ({"temperature": "1"}, "invalid_type", "temperature"),
        ({"temperature": True}, "invalid_type", "temperature"),
        ({"top_p": 1.01}, "out_of_range", "top_p"),
        ({"max_output_tokens": 0}, "out_of_range", "max_output_tokens"),
        ({"max_output_tokens": 2**31}, "out_of_range", "max_output_tokens"),
        ({"max_output_tokens": 2**63}, "out_of_range", "max_output_tokens"),
        ({"max_output_tokens": 10**39}, "out_of_range", "max_output_tokens"),
        ({"max_output_tokens": 1.5}, "invalid_type", "max_output_tokens"),
        ({"max_output_tokens": 1.0}, "invalid_type", "max_output_tokens"),
        ({"max_output_tokens": True}, "invalid_type", "max_output_tokens"),
        ({"instructions": 1}, "invalid_type", "instructions"),
        ({"metadata": []}, "invalid_type", "metadata"),
        ({"metadata": {str(number): "" for number in range(17)}}, "too_many_properties", "metadata"),
        ({"metadata": {"k": "v" * 513}}, "string_too_long", "metadata.k"),
        ({"metadata": {"k": {"nested": CANARY}}}, "invalid_type", "metadata.k"),
        ({"metadata": {"k": 1}}, "invalid_type", "metadata.k"),
        ({"metadata": {"k": None}}, "invalid_type", "metadata.k"),
        ({"modell": CANARY}, "unknown_parameter", "modell"),
        ({"organization_id": CANARY}, "unknown_parameter", "organization_id"),
    ],
)
def test_a_wrong_parameter(change: dict[str, Any], code: str, param: str) -> None:
    values = {name: value for name, value in (GOOD | change).items() if value is not ...}
    assert problem(CreateResponse, values) == (code, param)


def test_a_long_metadata_key_is_named_by_its_object() -> None:
    assert problem(CreateResponse, GOOD | {"metadata": {CANARY * 10: ""}}) == ("string_too_long", "metadata")
    # a key that is called as pydantic calls the place of keys
    assert problem(CreateResponse, GOOD | {"metadata": {"[key]": 1}}) == ("invalid_type", "metadata.[key]")


@pytest.mark.parametrize(
    ("change", "param"),
    [({"background": False}, "background"), ({"background": ...}, "background"), ({"stream": True}, "stream")],
)
def test_what_is_not_offered_yet_is_said_clearly(change: dict[str, Any], param: str) -> None:
    values = {name: value for name, value in (GOOD | change).items() if value is not ...}
    with pytest.raises(InvalidRequestError) as refused:
        validate(CreateResponse, values).to_job_request()
    assert (refused.value.error_code, refused.value.param) == ("unsupported_parameter", param)
    assert f"`{param}`" in refused.value.message or f'"{param}"' in refused.value.message


def test_a_query_is_read_from_strings() -> None:
    job_id = new_id()
    wanted = validate(
        ListQuery,
        {
            "limit": "100",
            "order": "asc",
            "after": public_id(job_id),
            "status": "queued",
            "model": "m",
            "metadata": {"k": "v"},
            "created_after": "0",
            "created_before": "253402300799",
        },
    ).to_filter()
    assert (wanted.limit, wanted.order, wanted.after, wanted.before) == (100, "asc", job_id, None)
    assert (wanted.status, wanted.model, wanted.metadata) == (Status.QUEUED, "m", {"k": "v"})
    assert wanted.created_after
    assert wanted.created_before
    assert (wanted.created_after.timestamp(), wanted.created_before.timestamp()) == (0, 253402300799)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("limit", "0", "out_of_range"),
        ("limit", "101", "out_of_range"),
        ("limit", CANARY, "invalid_type"),
        ("limit", "1.5", "invalid_type"),
        ("limit", "", "invalid_type"),
        ("limit", "9" * 5_000, "invalid_type"),
        ("order", CANARY, "invalid_value"),
        ("after", CANARY, "invalid_value"),
        ("after", "", "invalid_value"),
        ("before", "resp_67ccd2bed1ec8190", "invalid_value"),
        ("status", CANARY, "invalid_value"),
        ("status", "incomplete", "invalid_value"),
        ("model", "m" * 257, "string_too_long"),
        ("created_after", "-1", "out_of_range"),
        ("created_before", "253402300800", "out_of_range"),
        ("created_before", CANARY, "invalid_type"),
        ("page", "2", "unknown_parameter"),
    ],
)
def test_a_wrong_query(name: str, value: str, code: str) -> None:
    assert problem(ListQuery, {name: value}) == (code, name)
