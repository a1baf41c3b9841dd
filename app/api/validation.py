"""Turn a pydantic validation error into the API's error: one problem, its path, a code, and never the value."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.domain.errors import InvalidRequestError

M = TypeVar("M", bound=BaseModel)

MAX_PATH = 256
"""Characters of a path that an error repeats."""
_CODES = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "literal_error": "invalid_value",
    "enum": "invalid_value",
    "value_error": "invalid_value",
    "too_short": "missing_required_parameter",
    "string_too_short": "missing_required_parameter",
    "too_long": "array_too_long",
    "string_too_long": "string_too_long",
    "too_many_properties": "too_many_properties",
}
_MESSAGES = {
    "missing": "This parameter is required.",
    "extra_forbidden": "There is no such parameter. Leave it out.",
    "too_short": "This parameter must not be empty.",
    "string_too_short": "This parameter must not be empty.",
}


class RequestModel(BaseModel):
    """What clients send: no unknown parameters, no conversions such as "true" for true."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def validate(model: type[M], values: Mapping[str, Any]) -> M:
    """`values` as a `model`. Raises InvalidRequestError for the first problem."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # include_input=False: the value must not reach the message, not even by accident.
        problem = error.errors(include_url=False, include_context=True, include_input=False)[0]
    kind = problem["type"]
    raise InvalidRequestError(
        _MESSAGES.get(kind, f"{problem['msg'].removeprefix('Value error, ')}."),
        code=_CODES.get(kind, "invalid_type"),
        param=_path(problem["loc"]),
    )


def _path(location: tuple[int | str, ...]) -> str | None:
    """`inputs[0].role` for ('inputs', 0, 'role')."""
    if len(location) > 2 and location[-1] == "[key]":
        # A key that is wrong itself: its object is named, and the key not repeated.
        location = location[:-2]
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    # An unknown parameter's name is the client's own, and may be of any length.
    return steps.removeprefix(".")[:MAX_PATH] or None
