"""Parameters that are missing, unknown, or not what they should be."""

import pytest

from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect, both
from tests.acceptance.bad_inputs.site import CANARY, Site

IRE = "invalid_request_error"
TOO_MANY = {f"{CANARY}{number}": "" for number in range(17)}

# name: change of a good body, code, param; INPUTS is what the dialect calls the conversation.
ROWS: dict[str, tuple[dict[str, object], str, str | None]] = {
    "no model": ({"model": None}, "missing_required_parameter", "model"),
    "an empty model": ({"model": ""}, "missing_required_parameter", "model"),
    "a model that is a number": ({"model": 4}, "invalid_type", "model"),
    "no inputs": ({"INPUTS": None}, "missing_required_parameter", "INPUTS"),
    "empty inputs": ({"INPUTS": []}, "missing_required_parameter", "INPUTS"),
    "a number of inputs": ({"INPUTS": 1}, "invalid_type", "INPUTS"),
    "an unknown parameter": ({"nonsense": CANARY}, "unknown_parameter", "nonsense"),
    "a known one in another case": ({"Model": CANARY}, "unknown_parameter", "Model"),
    'background "true"': ({"background": "true"}, "invalid_type", "background"),
    "background 1": ({"background": 1}, "invalid_type", "background"),
    "stream 1": ({"stream": 1}, "invalid_type", "stream"),
    'stream "false"': ({"stream": "false"}, "invalid_type", "stream"),
    "temperature -1": ({"temperature": -1}, "out_of_range", "temperature"),
    "temperature 1e308": ({"temperature": 1e308}, "out_of_range", "temperature"),
    "temperature of text": ({"temperature": CANARY}, "invalid_type", "temperature"),
    "top_p 1.1": ({"top_p": 1.1}, "out_of_range", "top_p"),
    "max_output_tokens 0": ({"max_output_tokens": 0}, "out_of_range", "max_output_tokens"),
    "max_output_tokens 2^63": ({"max_output_tokens": 2**63}, "out_of_range", "max_output_tokens"),
    "max_output_tokens 1.5": ({"max_output_tokens": 1.5}, "invalid_type", "max_output_tokens"),
    "max_output_tokens of text": ({"max_output_tokens": CANARY}, "invalid_type", "max_output_tokens"),
    "max_output_tokens true": ({"max_output_tokens": True}, "invalid_type", "max_output_tokens"),
    "instructions that are a list": ({"instructions": [CANARY]}, "invalid_type", "instructions"),
    "metadata of 17 keys": ({"metadata": TOO_MANY}, "too_many_properties", "metadata"),
    "a metadata key of 65": ({"metadata": {CANARY.ljust(65): ""}}, "string_too_long", "metadata"),
    "a metadata value of 513": ({"metadata": {"a": CANARY.ljust(513)}}, "string_too_long", "metadata.a"),
    "nested metadata": ({"metadata": {"a": {"b": CANARY}}}, "invalid_type", "metadata.a"),
    "metadata in a list": ({"metadata": [CANARY]}, "invalid_type", "metadata"),
    "metadata of a number": ({"metadata": {"a": 1}}, "invalid_type", "metadata.a"),
    "an unknown role": ({"INPUTS": [{"role": CANARY, "content": "a"}]}, "invalid_value", "INPUTS[0].role"),
    "an unknown role further on": (
        {"INPUTS": [{"role": "user", "content": "a"}, {"role": CANARY, "content": "b"}]},
        "invalid_value",
        "INPUTS[1].role",
    ),
    "100,000 inputs": ({"INPUTS": [{"role": "user", "content": ""}] * 100_000}, "array_too_long", "INPUTS"),
}


@both
@pytest.mark.parametrize("name", ROWS)
def test_a_parameter_that_is_refused(site: Site, dialect: Dialect, name: str) -> None:
    change, code, param = ROWS[name]
    renamed = {key.replace("INPUTS", dialect.inputs): value for key, value in change.items()}
    expected = (400, IRE, code, param and param.replace("INPUTS", dialect.inputs))
    assert site.refuses(site.request("POST", dialect.path, dialect.body(CANARY, **renamed))) == expected


@pytest.mark.parametrize(
    ("dialect", "change", "code", "param"),
    [
        (FREDDY, {"inputs": [{"role": "user"}]}, "invalid_value", "inputs[0]"),
        (FREDDY, {"inputs": [{"role": "user", "texts": []}]}, "missing_required_parameter", "inputs[0].texts"),
        (FREDDY, {"inputs": [{"role": "user", "texts": [{"text": 1}]}]}, "invalid_type", "inputs[0].texts[0].text"),
        (FREDDY, {"inputs": CANARY}, "invalid_type", "inputs"),
        (FREDDY, {"max_output_synapses": 0}, "out_of_range", "max_output_synapses"),
        (FREDDY, {"maxTokens": 1.5}, "invalid_type", "maxTokens"),
        (OPENAI, {"input": [{"role": "user"}]}, "missing_required_parameter", "input[0].content"),
        (OPENAI, {"input": ""}, "missing_required_parameter", "input"),
        (OPENAI, {"metadata": {"a": None}}, "invalid_type", "metadata.a"),
    ],
)
def test_a_parameter_of_one_dialect_that_is_refused(
    site: Site, dialect: Dialect, change: dict[str, object], code: str, param: str
) -> None:
    refused = site.refuses(site.request("POST", dialect.path, dialect.body(CANARY) | change))
    assert refused == (400, IRE, code, param)


@both
@pytest.mark.parametrize("model", [CANARY, f"gpt/{CANARY}", "*", "gpt", " gpt-4.1", "GPT-4.1"])
def test_a_model_that_nobody_serves(site: Site, dialect: Dialect, model: str) -> None:
    refused = site.refuses(site.request("POST", dialect.path, dialect.body(model=model)))
    assert refused == (404, IRE, "model_not_found", "model")


@both
def test_what_is_just_allowed(site: Site, dialect: Dialect) -> None:
    metadata = {f"{number}".ljust(64, "k"): "v" * 512 for number in range(16)}
    reply = site.ask(
        "POST", dialect.path, dialect.body(metadata=metadata, temperature=2, top_p=0, max_output_tokens=2**31 - 1)
    )
    assert (reply.status, reply.json["metadata"]) == (200, metadata)
