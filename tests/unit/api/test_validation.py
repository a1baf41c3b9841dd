"""From a pydantic error to one problem: its path, its code, never its value."""

from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from app.api.openai.schemas import CreateResponse
from app.api.validation import (
    MAX_PATH,
    Absent,
    RequestModel,
    branch,
    by_type,
    choice,
    refused,
    text_or,
    validate,
    wrong,
)
from app.domain.errors import InvalidRequestError
from tests.unit.api.jobs import CANARY, problem


class Circle(RequestModel):
    type: Literal["circle"]
    radius: Annotated[float, Field(gt=0)]


class Square(RequestModel):
    type: Literal["square"] = "square"
    sides: dict[str, int] | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _is_square(self) -> Self:
        if self.sides and len(set(self.sides.values())) > 1:
            raise wrong("All sides are the same", "sides", 1, code="unsupported_parameter")
        return self


Shape = Annotated[
    Annotated[Circle, branch("circle")] | Annotated[Square, branch("square")],
    by_type("circle", "square"),
]


class Drawing(RequestModel):
    shapes: Annotated[
        Annotated[str, branch("text")] | Annotated[list[Shape], branch("list")], text_or("a list of shapes")
    ]
    paper: Annotated[Absent, refused("Bring your own", "white")] = None
    size: (
        Annotated[
            Annotated[int, branch("number")] | Annotated[Literal["A4"], branch("name")],
            choice(lambda value: {int: "number", str: "name"}.get(type(value)), "a number or 'A4'"),
        ]
        | None
    ) = None


CIRCLE = {"type": "circle", "radius": 1.5}


@pytest.mark.parametrize(
    ("values", "code", "param"),
    [
        ({}, "missing_required_parameter", "shapes"),
        ({"shapes": 1}, "invalid_type", "shapes"),
        ({"shapes": None}, "invalid_type", "shapes"),
        ({"shapes": [CIRCLE, CANARY]}, "invalid_type", "shapes[1]"),
        ({"shapes": [CIRCLE, None]}, "invalid_type", "shapes[1]"),
        ({"shapes": [{}]}, "missing_required_parameter", "shapes[0].type"),
        ({"shapes": [{"type": CANARY}]}, "invalid_value", "shapes[0].type"),
        ({"shapes": [{"type": [CANARY]}]}, "invalid_value", "shapes[0].type"),
        ({"shapes": [{"type": None}]}, "invalid_value", "shapes[0].type"),
        ({"shapes": [CIRCLE, {"type": "circle"}]}, "missing_required_parameter", "shapes[1].radius"),
        ({"shapes": [{"type": "circle", "radius": 0}]}, "out_of_range", "shapes[0].radius"),
        ({"shapes": [CIRCLE | {"colour": CANARY}]}, "unknown_parameter", "shapes[0].colour"),
        ({"shapes": [{"type": "square", "sides": {"a": CANARY}}]}, "invalid_type", "shapes[0].sides.a"),
        ({"shapes": [{"type": "square", "sides": {"a": 1, "b": 2}}]}, "unsupported_parameter", "shapes[0].sides[1]"),
        ({"shapes": "", "size": CANARY}, "invalid_value", "size"),
        ({"shapes": "", "size": 1.5}, "invalid_type", "size"),
        ({"shapes": "", "paper": CANARY}, "unsupported_parameter", "paper"),
        ({"shapes": "", "paper": False}, "unsupported_parameter", "paper"),
        ({"shapes": "", "paper": 0}, "unsupported_parameter", "paper"),
        ({"shapes": "", "list": 1}, "unknown_parameter", "list"),
    ],
)
def test_the_path_is_the_clients_own(values: dict[str, Any], code: str, param: str) -> None:
    assert problem(Drawing, values) == (code, param)


def test_the_message_names_what_is_allowed() -> None:
    for values, message in (
        ({"shapes": 1}, "Input should be a string or a list of shapes."),
        ({"shapes": [{"type": "x"}]}, "Input should be 'circle' or 'square'."),
        ({"shapes": "", "paper": "x"}, "Bring your own."),
        ({"shapes": [5]}, "Input should be an object."),
    ):
        with pytest.raises(InvalidRequestError, match="^" + message.replace(".", r"\.") + "$"):
            validate(Drawing, values)


@pytest.mark.parametrize("empty", [None, "", [], {}, "white"])
def test_what_asks_for_nothing_is_not_refused(empty: Any) -> None:
    assert validate(Drawing, {"shapes": "", "paper": empty}).paper is None


def test_a_refused_parameter_is_not_in_the_document() -> None:
    assert set(Drawing.model_json_schema()["properties"]) == {"shapes", "size"}


def test_what_was_given_comes_back_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    square = {"type": "square", "sides": {"a": 2}}
    values = {"shapes": [CIRCLE, square | {"note": "n"}, square], "size": "A4", "paper": None}
    assert validate(Drawing, values).given() == {"shapes": values["shapes"], "size": "A4"}
    assert validate(Drawing, {"shapes": "x", "size": 5}).given(without="size") == {"shapes": "x"}
    # A warning would quote the request.
    assert not recwarn.list


def test_a_long_name_is_cut() -> None:
    code, param = problem(Drawing, {"shapes": "", "n" * 5_000: 1})
    assert (code, param) == ("unknown_parameter", "n" * MAX_PATH)


def test_an_error_made_by_hand_is_one_of_pydantics() -> None:
    with pytest.raises(ValidationError):
        Square.model_validate({"type": "square", "sides": {"a": 1, "b": 2}})


FLOOD = 20_000
TEXT = {"type": "output_text", "text": ""}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"input": [{"role": CANARY, "content": ""}] * FLOOD}, "invalid_value"),
        ({"input": [{"role": "user", "content": ""}] * FLOOD}, "array_too_long"),
        ({"input": [{"role": "user", "content": [{"type": CANARY}] * FLOOD}]}, "invalid_value"),
        ({"input": [{"role": "assistant", "content": [TEXT | {"annotations": [1] * FLOOD}]}]}, "invalid_type"),
        ({"metadata": {str(number): number for number in range(FLOOD)}}, "too_many_properties"),
        ({"tools": [{"type": "function", "name": "no name"}] * FLOOD}, "invalid_value"),
        ({"include": [CANARY] * FLOOD}, "invalid_value"),
    ],
    ids=["items", "good items", "parts", "annotations", "metadata", "tools", "include"],
)
def test_the_first_of_many_problems_is_the_only_one_looked_for(change: dict[str, Any], code: str) -> None:
    body = {"model": "m", "input": "x"} | change
    assert problem(CreateResponse, body)[0] == code
    with pytest.raises(ValidationError) as found:
        CreateResponse.model_validate(body)
    assert found.value.error_count() == 1
