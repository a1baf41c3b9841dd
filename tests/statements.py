"""What a process sends to its database, to look at or to act upon."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from app.db.engine import Database


@contextmanager
def recorded(database: Database) -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement != "BEGIN":
            sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


@contextmanager
def after_first(database: Database, word: str, act: Callable[[], object]) -> Iterator[None]:
    """Act when the first statement with this word has come back, before its caller sees the result."""
    waiting = [act]

    def done(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if word in statement and waiting:
            waiting.pop()()

    event.listen(database.engine, "after_cursor_execute", done)
    try:
        yield
        assert not waiting, f"no statement with {word!r} was sent"
    finally:
        event.remove(database.engine, "after_cursor_execute", done)
