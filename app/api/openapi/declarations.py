"""What both dialects declare alike, each with its own shapes and examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.api.dialect import Presenter
from app.api.openapi import examples
from app.api.openapi.shapes.base import Deleted
from app.api.operation import Answer

CREATE_HEADERS = ("Idempotency-Key", "Prefer")
CREATE_ERRORS = (
    "model_not_found",
    "invalid_idempotency_key",
    "idempotency_key_reused",
    "previous_response_not_found",
    "previous_response_not_completed",
    "invalid_webhook_url",
    "webhook_url_not_allowed",
    "too_many_webhook_endpoints",
    "concurrency_limit_exceeded",
    "queue_limit_exceeded",
    # Of a synchronous response
    "response_not_finished",
    "timeout",
    "queue_timeout",
    "worker_lost",
    "upstream_rate_limited",
    "upstream_unavailable",
    "upstream_error",
    "upstream_invalid_response",
    "invalid_prompt",
    "context_length_exceeded",
)
GET_HEADERS = ("Prefer", "If-None-Match")
GET_ERRORS = ("not_found", "not_a_stream")
CANCEL_ERRORS = ("not_found", "illegal_move")
_POLLING = ("Retry-After", "OpenAI-Poll-After-Ms", "ETag", "Preference-Applied")

Answers = Mapping[int, Answer]


@dataclass(frozen=True, slots=True)
class DialectAnswers:
    """The answers of one dialect."""

    present: Presenter
    response: Any
    page: Any
    event: Any
    deletion: Any = Deleted

    @property
    def created(self) -> Answers:
        """A create's."""
        shown = examples.responses(self.present, "queued", "completed")
        headers = (*_POLLING, "Idempotency-Replayed")
        return {200: Answer("The response: at once, or when it has ended.", self.response, self.event, headers, shown)}

    @property
    def current(self) -> Answers:
        """A get's."""
        shown = examples.responses(self.present)
        return {
            200: Answer("The response as it is now, or its stream.", self.response, self.event, _POLLING, shown),
            304: Answer("It is still as `If-None-Match` says.", headers=_POLLING),
        }

    @property
    def listed(self) -> Answers:
        """A list's."""
        return {200: Answer("A page.", self.page, examples=examples.page(self.present))}

    @property
    def cancelled(self) -> Answers:
        """A cancel's."""
        shown = examples.responses(self.present, "cancelled")
        return {200: Answer("The response, which has ended.", self.response, examples=shown)}

    @property
    def deleted(self) -> Answers:
        """A delete's."""
        return {200: Answer("What became of it.", self.deletion, examples=examples.DELETED)}
