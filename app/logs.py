"""Structured logs on stderr, each line bound to the request or job it belongs to. Prompts and keys never enter."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from app.domain.ids import public_id
from app.settings import Settings

_to_json = json.JSONEncoder(default=str).encode
_bound: ContextVar[Mapping[str, Any]] = ContextVar("bound", default=MappingProxyType({}))


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add `fields` to every log line written inside the block by this thread or greenlet."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def bind(**fields: Any) -> None:
    """Bind `fields`, and nothing else, to what this thread or greenlet logs from here on."""
    _bound.set(fields)


def configure(settings: Settings) -> None:
    """Send all logs of the process to stderr in the format and from the level that the settings say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def formatter(settings: Settings) -> logging.Formatter:
    """The format that the settings name."""
    return JsonFormatter() if settings.log_format == "json" else TextFormatter()


def raised_at(error: BaseException) -> str:
    """File and line in which the error was raised: for logs, where its message must not go, since it may quote a
    prompt.
    """
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = {**_bound.get(), **getattr(record, "fields", {})}
    if isinstance(job_id := fields.get("job_id"), UUID):
        # As clients and Flower have it: one search finds all lines of a job.
        fields["job_id"] = public_id(job_id)
    return fields


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class Without(logging.Filter):
    """Drops the INFO records that were given one of these words, such as the name of a task that runs all the time."""

    def __init__(self, *words: str) -> None:
        """Match whole arguments of the record, not parts of its text."""
        super().__init__()
        self._words = set(words)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        given = record.args.values() if isinstance(record.args, Mapping) else record.args or ()
        return record.levelno > logging.INFO or not any(isinstance(arg, str) and arg in self._words for arg in given)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; JSON's escapes keep a message with line breaks in one record."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record with its bound fields."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _to_json(line)


class TextFormatter(logging.Formatter):
    """`12:00:01.123 INFO  message key=value`; control characters in the message are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record with its bound fields; an exception's traceback follows on lines of its own."""
        at = datetime.fromtimestamp(record.created).time().isoformat("milliseconds")
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{at} {record.levelname:<7} {record.getMessage()}{fields}"
        if not record.exc_info:
            return _printable(line)
        # Indented: no line of an exception's message may look like a record.
        return "\n    ".join(map(_printable, (line, *self.formatException(record.exc_info).split("\n"))))
