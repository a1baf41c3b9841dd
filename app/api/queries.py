"""The queries that both dialects take."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from app.api.parameters import Includes, Metadata
from app.api.validation import RequestModel
from app.domain.errors import InvalidRequestError
from app.domain.ids import parse_public_id
from app.domain.jobs import JobFilter
from app.domain.lifecycle import Status

MAX_WAIT = 60
"""Seconds that a client may ask to wait, at most."""
UNIX_TIME_MAX = 253_402_300_799
"""The last second of the year 9999."""

_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)
# The SDKs write lists as `include[]=a&include[]=b`, and most else as `include=a&include=b`.
_INCLUDE = re.compile(r"include(?:\[\d*\])?")


def read_query(query: bytes) -> dict[str, Any]:
    """The parameters of a query string: `metadata[key]=value` under `metadata`, and `include` as a list.

    Raises InvalidRequestError for what is no UTF-8, holds NUL, or is given twice.
    """
    found: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for name, value in _pairs(query):
        if "\0" in name + value:
            raise InvalidRequestError("Text must not hold NUL.", code="invalid_unicode")
        if _INCLUDE.fullmatch(name):
            found.setdefault("include", []).append(value)
            continue
        match = _METADATA.fullmatch(name)
        target, key = (metadata, match[1]) if match else (found, name)
        if key in target:
            raise InvalidRequestError("Give each parameter once.", code="invalid_value")
        target[key] = value
    return {**found, "metadata": metadata} if metadata else found


def _pairs(query: bytes) -> Iterator[tuple[str, str]]:
    try:
        yield from parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise InvalidRequestError("The query must be percent-encoded UTF-8.", code="invalid_encoding") from None


class Query(RequestModel):
    """A query is all strings: conversions are wanted here."""

    model_config = ConfigDict(strict=False)


def _of_a_response(text: str) -> str:
    if parse_public_id(text) is None:
        raise PydanticCustomError("invalid_value", "Give the id of a response")
    return text


Cursor = Annotated[str, AfterValidator(_of_a_response)]
PageLimit = Annotated[int, Field(ge=1, le=100)]
Order = Literal["asc", "desc"]
UnixTime = Annotated[int, Field(ge=0, le=UNIX_TIME_MAX)]
Wait = Annotated[float, Field(ge=0, le=MAX_WAIT, allow_inf_nan=False)]


class CreateQuery(Query):
    """The query of a create."""

    wait: Wait | None = None
    """Answer when the response has ended, or as it is after so many seconds."""


class GetQuery(Query):
    """The query of a get."""

    wait: Wait | None = None
    """Answer when the response has ended, or as it is after so many seconds."""
    stream: bool = False
    """Answer with the events of the response, if it was created with `stream: true`."""
    starting_after: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    """Only the events after the one with this number."""
    include: Includes | None = None
    """Accepted: everything there is is always shown."""
    include_obfuscation: bool | None = None
    """Accepted; streams are never padded."""


class InputItemsQuery(Query):
    """The query of a list of input items."""

    limit: PageLimit = 20
    order: Order = "desc"
    after: str | None = None
    """The id of the item before the page."""
    include: Includes | None = None
    """Accepted: everything there is is always shown."""


class ListQuery(Query):
    """The query of a list of responses. `metadata[key]=value` pairs come in as `metadata`."""

    limit: PageLimit = 20
    order: Order = "desc"
    after: Cursor | None = None
    """The id of the response before the page."""
    before: Cursor | None = None
    """The id of the response behind the page."""
    status: Literal["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"] | None = None
    """`incomplete` are those of the completed ones that were cut off."""
    model: Annotated[str, Field(max_length=256)] | None = None
    metadata: Metadata | None = None
    created_after: UnixTime | None = None
    created_before: UnixTime | None = None

    def to_filter(self) -> JobFilter:
        """The same for the service."""
        return JobFilter(
            limit=self.limit,
            order=self.order,
            after=parse_public_id(self.after) if self.after else None,
            before=parse_public_id(self.before) if self.before else None,
            status=Status(self.status) if self.status and self.status != "incomplete" else None,
            cut_off=self.status == "incomplete",
            model=self.model,
            metadata=self.metadata,
            created_after=_time(self.created_after),
            created_before=_time(self.created_before),
        )


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
