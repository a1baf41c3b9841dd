"""What a model server says, piece by piece, whichever protocol it speaks."""

from dataclasses import dataclass, field

from app.domain.jobs import Usage
from app.domain.requests import JSON


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer's text."""

    text: str
    logprobs: list[JSON] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AnnotationDelta:
    """A citation in the text so far."""

    annotation: JSON


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """More of the model's words for why it will not answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of what the model thinks. `part` counts the parts of its summary."""

    text: str
    part: int = 0


@dataclass(frozen=True, slots=True)
class EncryptedReasoning:
    """The reasoning as only its own server can read it; comes after the item's last ReasoningDelta."""

    content: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More of a function call's arguments. `index` tells the calls apart; the first delta of a call has its name."""

    index: int
    arguments: str = ""
    name: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class HostedItem:
    """A whole item of a tool that the model server runs itself, such as `web_search_call`, as the server gave it."""

    item: JSON


@dataclass(frozen=True, slots=True)
class Break:
    """The message or the reasoning so far is over: what follows belongs to another item, even if it is of its kind."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of the answer; without it the answer is broken. `incomplete_reason` is set when it was cut off."""

    usage: Usage | None = None
    incomplete_reason: str | None = None


Delta = (
    TextDelta
    | AnnotationDelta
    | RefusalDelta
    | ReasoningDelta
    | EncryptedReasoning
    | ToolCallDelta
    | HostedItem
    | Break
    | Finish
)
