"""What a request of the Freddy dialect may hold, and the canonical request it means."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.api.validation import RequestModel
from app.domain.errors import InvalidRequestError
from app.domain.ids import parse_public_id
from app.domain.jobs import InputMessage, JobFilter, JobRequest, Role
from app.domain.lifecycle import Status

MAX_INPUTS = 10_000
MAX_METADATA = 16
UNIX_TIME_MAX = 253_402_300_799
"""The last second of the year 9999."""


def _at_most_16(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MAX_METADATA:
        raise PydanticCustomError("too_many_properties", f"Metadata may have {MAX_METADATA} keys at most")
    return metadata


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], AfterValidator(_at_most_16)
]


class TextBlock(RequestModel):
    """`{"text": "…"}`."""

    text: str


class Message(RequestModel):
    """One message of the conversation."""

    role: Role
    texts: Annotated[list[TextBlock], Field(min_length=1, max_length=MAX_INPUTS)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.texts is None:
            raise ValueError("A message needs `texts`")
        return self


class CreateResponse(RequestModel):
    """The body of `POST /v1/model/response`."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    inputs: Annotated[list[Message], Field(min_length=1, max_length=MAX_INPUTS)]
    background: bool = False
    stream: bool = False
    instructions: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    metadata: Metadata | None = None

    def to_job_request(self) -> JobRequest:
        """The canonical request. Raises InvalidRequestError for what is not offered yet."""
        if self.stream:
            raise _not_offered("stream", "Streams are not available: leave `stream` out, and poll for the result.")
        if not self.background:
            raise _not_offered("background", 'Only background responses are available: send `"background": true`.')
        return JobRequest(
            model=self.model,
            inputs=tuple(InputMessage(m.role, tuple(block.text for block in m.texts or ())) for m in self.inputs),
            instructions=self.instructions,
            temperature=self.temperature,
            top_p=self.top_p,
            max_output_tokens=self.max_output_tokens,
            metadata=self.metadata or {},
        )


def _not_offered(param: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code="unsupported_parameter", param=param)


class ListQuery(RequestModel):
    """The query of `GET /v1/model/response`. `metadata[key]=value` pairs come in as `metadata`."""

    # A query is all strings: conversions are wanted here.
    model_config = ConfigDict(strict=False)

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None
    status: Status | None = None
    model: Annotated[str, Field(max_length=256)] | None = None
    metadata: Metadata | None = None
    created_after: Annotated[int, Field(ge=0, le=UNIX_TIME_MAX)] | None = None
    created_before: Annotated[int, Field(ge=0, le=UNIX_TIME_MAX)] | None = None

    @model_validator(mode="after")
    def _cursors_are_ids(self) -> Self:
        for name in ("after", "before"):
            cursor = getattr(self, name)
            if cursor is not None and parse_public_id(cursor) is None:
                raise InvalidRequestError(f"`{name}` must be the id of a response.", code="invalid_value", param=name)
        return self

    def to_filter(self) -> JobFilter:
        """The same for the service."""
        return JobFilter(
            limit=self.limit,
            order=self.order,
            after=parse_public_id(self.after) if self.after else None,
            before=parse_public_id(self.before) if self.before else None,
            status=self.status,
            model=self.model,
            metadata=self.metadata,
            created_after=_time(self.created_after),
            created_before=_time(self.created_before),
        )


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
