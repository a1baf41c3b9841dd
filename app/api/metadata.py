"""What clients may attach to a response."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

MAX_METADATA = 16
"""Keys of one response's metadata."""


def _at_most_16(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MAX_METADATA:
        raise PydanticCustomError("too_many_properties", f"Metadata may have {MAX_METADATA} keys at most")
    return metadata


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], AfterValidator(_at_most_16)
]
