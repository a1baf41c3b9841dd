"""The messages of a request, each with the canonical item it means."""

from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from app.api.parameters import MAX_INPUTS, Detail, ImageUrl
from app.api.validation import Absent, RequestModel, branch, choice, listed, refused, text_or, wrong
from app.domain.requests import JSON

_NO_FILES = "No files are kept here. Send the content in the request"
_TEXTS = ("text", "input_text", "output_text")
_IMAGES = ("image", "input_image", "image_url")


def _of_data(url: str) -> str:
    if not url.startswith("data:"):
        raise PydanticCustomError("invalid_value", "Give the image as a data URL in base64, or its address as `url`")
    return url


class Text(RequestModel):
    """A text."""

    type: Literal["text", "input_text", "output_text"] | None = None
    text: str

    def to_part(self, role: str) -> JSON:
        """The canonical part of a message."""
        return {"type": "output_text" if role == "assistant" else "input_text", "text": self.text}


class ImageAddress(RequestModel):
    """Where an image is."""

    url: ImageUrl
    detail: Detail | None = None


class Image(RequestModel):
    """An image: `url`, `data` or `image_url`."""

    type: Literal["image", "input_image", "image_url"] | None = None
    url: ImageUrl | None = None
    data: (
        Annotated[ImageUrl, AfterValidator(_of_data), Field(examples=["data:image/png;base64,iVBORw0KGgo="])] | None
    ) = None
    """The image itself, as a data URL."""
    image_url: (
        Annotated[
            Annotated[ImageUrl, branch("text")] | Annotated[ImageAddress, branch("object")],
            choice(lambda value: "text" if isinstance(value, str) else "object", "a string or an object"),
        ]
        | None
    ) = None
    detail: Detail | None = None
    file_id: Annotated[Absent, refused(_NO_FILES)] = None
    fileId: Annotated[Absent, refused(_NO_FILES)] = None  # noqa: N815 - the SDK's name

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if sum(place is not None for place in (self.url, self.data, self.image_url)) != 1:
            raise wrong("An image needs one of `url`, `data` and `image_url`")
        return self

    def to_part(self, _: str) -> JSON:
        """The canonical part of a message."""
        given = self.image_url
        url, detail = (given.url, given.detail) if isinstance(given, ImageAddress) else (given, None)
        detail = self.detail or detail
        part = {"type": "input_image", "image_url": self.url or self.data or url}
        return {**part, "detail": detail} if detail else part


def _block_kind(block: Any) -> str | None:
    if isinstance(block, str):
        return "plain"
    kind = block.get("type") if isinstance(block, dict) else "text"
    if kind is None:
        return "text" if block.keys().isdisjoint(("url", "data", "image_url")) else "image"
    return "text" if kind in _TEXTS else "image" if kind in _IMAGES else "file" if kind == "file" else None


def _file(_: Any) -> NoReturn:
    raise wrong(_NO_FILES, "type", code="unsupported_parameter")


Block = Annotated[
    Annotated[str, branch("plain")]
    | Annotated[Text, branch("text")]
    | Annotated[Image, branch("image")]
    | Annotated[SkipJsonSchema[Text], BeforeValidator(_file), branch("file")],
    choice(_block_kind, listed(_TEXTS + _IMAGES), error="unknown_type"),
]
_Length = Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)


class Message(RequestModel):
    """One message of the conversation: `texts` and `images`, or `content`."""

    role: Literal["system", "user", "assistant"]
    texts: Annotated[list[Text], _Length] | None = None
    images: Annotated[list[Image], Field(max_length=MAX_INPUTS, fail_fast=True)] | None = None
    content: (
        Annotated[
            Annotated[str, branch("text")] | Annotated[Annotated[list[Block], _Length], branch("list")],
            text_or("a list of blocks"),
        ]
        | None
    ) = None
    id: str | None = None
    files: Annotated[Absent, refused(_NO_FILES)] = None
    tool_call_id: Annotated[Absent, refused("Results of tools are no messages here. Send them to `/v1/responses`")] = (
        None
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        apart = bool(self.texts or self.images)
        if apart is (self.content is not None):
            raise wrong("A message needs either `content`, or `texts` and `images`")
        if self.role == "assistant" and any(isinstance(block, Image) for block in self._blocks()):
            raise wrong("An assistant's message holds texts alone")
        return self

    def _blocks(self) -> list[str | Text | Image]:
        if self.content is None:
            return [*(self.texts or ()), *(self.images or ())]
        return [self.content] if isinstance(self.content, str) else self.content

    def to_item(self) -> JSON:
        """The canonical item."""
        blocks = (Text(text=block) if isinstance(block, str) else block for block in self._blocks())
        given = {"id": self.id} if self.id else {}
        content = [block.to_part(self.role) for block in blocks]
        return {"type": "message", "role": self.role, **given, "content": content}
