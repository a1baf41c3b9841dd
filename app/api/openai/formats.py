"""The form of a request's answer: text, any JSON, or JSON of a schema."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.parameters import Identifier
from app.api.validation import RequestModel, branch, choice, listed, type_of
from app.domain.requests import JSON


class PlainText(RequestModel):
    """Text, as the model likes."""

    type: Literal["text"]


class JsonObject(RequestModel):
    """An object in JSON."""

    type: Literal["json_object"]


class JsonSchema(RequestModel):
    """A schema, and what it is called."""

    name: Identifier
    schema_: Annotated[JSON, Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None
    """Whether the answer must follow the schema exactly."""


class JsonSchemaFormat(JsonSchema):
    """JSON that follows a schema."""

    type: Literal["json_schema"]


_TYPES = ("text", "json_object", "json_schema")
FORMATS = listed(_TYPES)


def format_kind(form: Any) -> str | None:
    """The branch of TextFormat that a value means; None if it means none."""
    return type_of(form, _TYPES)


TextFormat = Annotated[
    Annotated[PlainText, branch("text")]
    | Annotated[JsonObject, branch("json_object")]
    | Annotated[JsonSchemaFormat, branch("json_schema")],
    choice(format_kind, FORMATS, error="unknown_type"),
]


class TextConfig(RequestModel):
    """How the answer is written."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None

    def to_text(self) -> JSON:
        """The stored form; empty if nothing was asked for."""
        given = self.given(without="format")
        return {"format": self.format.given(), **given} if self.format else given
