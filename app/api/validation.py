"""Turn a pydantic validation error into the API's error: one problem, its path, a code, and never the value."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag, ValidationError
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError

from app.domain.errors import InvalidRequestError
from app.domain.requests import JSON

M = TypeVar("M", bound=BaseModel)

MAX_PATH = 256
"""Characters of a path that an error repeats."""
_BRANCH = "\0"
"""What the name of a union's branch begins with, to be told apart in a path: no client's key holds NUL."""
_CODES = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "literal_error": "invalid_value",
    "enum": "invalid_value",
    "string_pattern_mismatch": "invalid_value",
    "unknown_type": "invalid_value",
    "value_error": "invalid_value",
    "too_short": "missing_required_parameter",
    "string_too_short": "missing_required_parameter",
    "too_long": "array_too_long",
    "string_too_long": "string_too_long",
    # Raised by our own validators, under the API's own names.
    "invalid_value": "invalid_value",
    "too_many_properties": "too_many_properties",
    "unsupported_parameter": "unsupported_parameter",
}
_MESSAGES = {
    "missing": "This parameter is required.",
    "extra_forbidden": "There is no such parameter. Leave it out.",
    "too_short": "This parameter must not be empty.",
    "string_too_short": "This parameter must not be empty.",
    "model_type": "Input should be an object.",
    "string_pattern_mismatch": "Use letters of ASCII, digits, `_` and `-` alone.",
}


class RequestModel(BaseModel):
    """What clients send: no unknown parameters, no conversions such as "true" for true."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    def given(self, *, without: str = "") -> JSON:
        """What the client gave, as it was given; what is null is left out, like what was not given."""
        found = self.model_dump(by_alias=True, exclude_unset=True, exclude={without})
        return {name: value for name, value in found.items() if value is not None}


def validate(model: type[M], values: Mapping[str, Any]) -> M:
    """`values` as a `model`. Raises InvalidRequestError for the first problem."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # include_input=False: the value must not reach the message, not even by accident.
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    kind = problem["type"]
    raise InvalidRequestError(
        _MESSAGES.get(kind, f"{problem['msg'].removeprefix('Value error, ')}."),
        code=_CODES.get(kind, "invalid_type"),
        param=_path((*problem["loc"], "type") if kind == "unknown_type" else problem["loc"]),
    )


def branch(name: str) -> Tag:
    """Names a branch of a union whose branches are told apart by `choice` or `by_type`."""
    return Tag(_BRANCH + name)


def choice(find: Callable[[Any], str | None], expected: str, *, error: str = "invalid_type") -> Discriminator:
    """Chooses a union's branch: the one whose name `find` gives, so that only its problems are told.

    Where `find` gives None the value is refused: it should be what `expected` says.
    """

    def tag(value: Any) -> str | None:
        # When a model is dumped its branches are chosen anew, by what they hold.
        name = find(vars(value) if isinstance(value, BaseModel) else value)
        return None if name is None else _BRANCH + name

    return Discriminator(tag, custom_error_type=error, custom_error_message=f"Input should be {expected}")


def by_type(*names: str) -> Discriminator:
    """Chooses the branch that is named like the object's `type`."""
    return choice(lambda value: type_of(value, names), listed(names), error="unknown_type")


def type_of(value: Any, names: tuple[str, ...]) -> str | None:
    """The object's `type` if it is one of `names`. What is no object, or has no type, goes to the first, to be told."""
    name = value.get("type", names[0]) if isinstance(value, dict) else names[0]
    return name if name in names else None


def listed(names: tuple[str, ...]) -> str:
    """`'a', 'b' or 'c'`, as pydantic writes it."""
    quoted = [f"'{name}'" for name in names]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def text_or(expected: str) -> Discriminator:
    """Chooses between the branches `text`, a string, and `list`."""

    def find(value: Any) -> str | None:
        return "text" if isinstance(value, str) else "list" if isinstance(value, list) else None

    return choice(find, f"a string or {expected}")


Absent = SkipJsonSchema[None]
"""The type of a parameter that is `refused`; the API's document does not mention it."""


def refused(advice: str, *harmless: Any) -> BeforeValidator:
    """Refuses a parameter that we know but can't honour, unless it asks for nothing: it is empty, or `harmless`."""

    def check(value: Any) -> None:
        if value not in (None, "", [], {}, *harmless):
            raise PydanticCustomError("unsupported_parameter", advice)

    return BeforeValidator(check)


def wrong(
    message: str, *path: int | str, code: Literal["invalid_value", "unsupported_parameter"] = "invalid_value"
) -> ValidationError:
    """The error for a model's own validator to raise, about what stands at `path` in the model."""
    problem = InitErrorDetails(type=PydanticCustomError(code, message), loc=path, input=None)
    return ValidationError.from_exception_data("request", [problem])


def _path(location: tuple[int | str, ...]) -> str | None:
    """`inputs[0].role` for ('inputs', 0, 'role')."""
    if len(location) > 2 and location[-1] == "[key]":
        # A key that is wrong itself: its object is named, and the key not repeated.
        location = location[:-2]
    named = (step for step in location if not (isinstance(step, str) and step.startswith(_BRANCH)))
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in named)
    # An unknown parameter's name is the client's own, and may be of any length.
    return steps.removeprefix(".")[:MAX_PATH] or None
