"""The document's prose."""

from app.domain.requests import JSON
from app.settings import Settings

SUMMARY = "Background mode for any model API: submit, get an id at once, collect the result when it is done."

TAG_OF = {
    "openai": "OpenAI dialect",
    "freddy": "Freddy dialect",
    "webhooks": "Webhooks",
    "ops": "Service",
    "metrics": "Service",
    "openapi": "Service",
    "docs": "Service",
    "ui": "Service",
}
TAGS = {
    "OpenAI dialect": "The Responses API: OpenAI's SDKs work with this service's address as their `base_url`.",
    "Freddy dialect": "The same jobs under `/v1/model/response`. A job made through one dialect can be read, "
    "streamed, cancelled and deleted through the other.",
    "Webhooks": "Where to be told that a response has ended, signed as the Standard Webhooks specification has it. "
    "For one response there is `webhook` in its create.",
    "Service": "What needs no key: health, this document, and the page for people.",
}
SECURITY: dict[str, JSON] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "`X-API-Key: KEY`"},
}

_INTRODUCTION = """\
Create a response with `background: true` and you get its id at once. Then poll it, wait for it with `?wait=`, or read
its stream; the result is kept for {retention}. Without `background` the same job runs while you wait.

**Keys** start with `sk-simmer-` and come from `simmer keys create`. Send one in one header, never in the URL.

**Errors** always have one shape, and a `code` for programs. An address that does not exist is a 404 `unknown_url`, a
method that an address does not take a 405 `method_not_allowed`. Every GET answers HEAD as well.

**Polling**: while a response has not ended, `Retry-After` and `openai-poll-after-ms` say when to ask again, and `ETag`
with `If-None-Match` saves the body.

**Limits**: bodies of {body} MiB, {depth} levels of JSON, {processing} of processing, {sync} of waiting on the line;
{create} creates and {poll} other requests for each key, if its administrator set nothing else.
"""


def introduction(settings: Settings) -> str:
    """What to know before the first request, with the limits as they are set here."""
    return _INTRODUCTION.format(
        retention=_duration(settings.retention),
        body=f"{settings.max_body_bytes / 2**20:g}",
        depth=settings.max_json_depth,
        processing=_duration(settings.time_limit),
        sync=_duration(settings.sync_timeout),
        create=settings.create_rate,
        poll=settings.poll_rate,
    )


def _duration(seconds: float) -> str:
    for length, name in ((3600, "hours"), (60, "minutes")):
        if seconds >= length and seconds % length == 0:
            count = int(seconds // length)
            return f"{count} {name if count != 1 else name[:-1]}"
    return f"{seconds:g} seconds"
