"""Parameters that are the same in both dialects."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

MAX_INPUTS = 10_000
"""Items of one request, and parts of one item."""
MAX_METADATA = 16
MAX_TOOLS = 512
"""More than anybody offers a model; they are kept where every poll reads them."""
INT_MAX = 2**31 - 1

_IMAGE_URL = re.compile(r"https?://[^\s/]|data:image/[\w.+-]+;base64,", re.ASCII | re.IGNORECASE)
_WEB_URL = re.compile(r"https?://[^\s/]", re.IGNORECASE)


def _few(metadata: Any) -> Any:
    # Before their values are looked at: there may be a million of them.
    if isinstance(metadata, dict) and len(metadata) > MAX_METADATA:
        raise PydanticCustomError("too_many_properties", f"Metadata may have {MAX_METADATA} keys at most")
    return metadata


def _of_an_image(url: str) -> str:
    if not _IMAGE_URL.match(url):
        advice = "Give the image's https:// or http:// address, or the image itself as a data URL in base64"
        raise PydanticCustomError("invalid_value", advice)
    return url


def _of_the_web(url: str) -> str:
    if not _WEB_URL.match(url):
        raise PydanticCustomError("invalid_value", "Give an https:// or http:// address")
    return url


ModelName = Annotated[str, Field(min_length=1, max_length=256, examples=["gpt-4.1"])]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    BeforeValidator(_few),
    Field(json_schema_extra={"maxProperties": MAX_METADATA}, examples=[{"team": "news"}]),
]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(ge=0, le=1)]
TokenLimit = Annotated[int, Field(ge=1, le=INT_MAX)]
ImageUrl = Annotated[
    str,
    AfterValidator(_of_an_image),
    Field(json_schema_extra={"pattern": f"^({_IMAGE_URL.pattern})"}, examples=["https://example.com/cat.png"]),
]
WebUrl = Annotated[
    str,
    AfterValidator(_of_the_web),
    Field(json_schema_extra={"pattern": f"^{_WEB_URL.pattern}"}, examples=["https://example.com/report.pdf"]),
]
Detail = Literal["low", "high", "auto", "original"]
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]*$")]
Include = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
Includes = Annotated[list[Include], Field(max_length=100, fail_fast=True)]
