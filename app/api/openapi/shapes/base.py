"""What all shapes have in common."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """A field whose default is None may be absent, and is never null then; one without a default is always there."""

    model_config = ConfigDict(use_attribute_docstrings=True)


ResponseId = Annotated[str, Field(pattern=r"^resp_[0-9a-f]{32}$", examples=["resp_0198f3c2a1b47d0c9e5f2a6b8c7d1e03"])]
UnixTime = Annotated[int, Field(ge=0, description="Unix time in seconds.", examples=[1741476542])]
Count = Annotated[int, Field(ge=0)]
Metadata = Annotated[dict[str, str], Field(examples=[{"team": "news"}])]


class Incomplete(Shape):
    """Why a completed answer was cut off."""

    reason: Literal["max_output_tokens", "content_filter"]


class Deleted(Shape):
    """What is left of a response that was deleted."""

    id: ResponseId
    object: Literal["response"]
    deleted: Literal[True]


class Problem(Shape):
    """What is wrong with a request."""

    message: str
    """What to do about it, for people. It never repeats what was sent."""
    type: Literal[
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "rate_limit_error",
        "server_error",
    ]
    """The kind of error."""
    param: str | None
    """The path of the wrong parameter, such as `inputs[0].role`."""
    code: str
    """What is wrong, for programs. It never changes."""
    response_id: ResponseId | None = None
    """The id of the response that a synchronous request made. It can be got like any other."""


class Error(Shape):
    """Every error, whoever raised it."""

    error: Problem
