"""What commands print: tables for people, JSON for programs. Where it is no terminal there is nothing but text.

`rich` is imported when something is printed: it takes 60 ms, and no other process of Simmer needs it.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from unicodedata import category
from uuid import UUID

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

UNBOUNDED = 100_000
"""Columns of what is no terminal: nothing is wrapped or cut there."""
_HIDDEN = {"Cc", "Cs", "Co", "Zl", "Zp"}
# They turn the direction of what follows: a name could make the rest of its line read otherwise.
_BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Cell(NamedTuple):
    """A text of a table, and how it looks on a terminal."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """A column's head. `spare`: the higher, the sooner it is left out where a terminal is too narrow; 0 is never."""

    head: str
    spare: int = 0
    right: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table before it is known where it will stand."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def on(self, console: "Console") -> "Table":
        """The table for this console, with as many columns as it has room for."""
        from rich.table import Table  # noqa: PLC0415 - see above
        from rich.text import Text  # noqa: PLC0415

        shown = self._fitting(console.width)
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        for index in shown:
            column = self.columns[index]
            table.add_column(column.head, justify="right" if column.right else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(visible(row[index].text), style=row[index].style) for index in shown))
        return table

    def _fitting(self, width: int) -> list[int]:
        from rich.cells import cell_len  # noqa: PLC0415

        widths = [
            2 + max([len(column.head), *(cell_len(visible(row[index].text)) for row in self.rows)])
            for index, column in enumerate(self.columns)
        ]
        shown = list(range(len(self.columns)))
        while sum(widths[index] for index in shown) - 2 > width:
            least = max(shown, key=lambda index: self.columns[index].spare)
            if not self.columns[least].spare:
                break
            shown.remove(least)
        return shown


def visible(text: str, *, lines: bool = False) -> str:
    """`text` with everything that could steer a terminal, or hide, spelled out; `lines` keeps line ends and tabs."""
    kept = "\n\t" if lines else ""
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if character not in kept and (character in _BIDI or category(character) in _HIDDEN)
        else character
        for character in text
    )


def console(*, err: bool = False) -> "Console":
    """A console on stdout, or stderr. What it is told is text, never markup."""
    from rich.console import Console  # noqa: PLC0415

    stream = sys.stderr if err else sys.stdout
    terminal = stream.isatty()
    return Console(
        file=stream,
        # Said, so that FORCE_COLOR puts no colours into a file.
        force_terminal=terminal,
        width=None if terminal else UNBOUNDED,
        markup=False,
        emoji=False,
        highlight=False,
    )


def show(*parts: "Grid | RenderableType") -> None:
    """Print tables and texts on stdout."""
    screen = console()
    with screen.capture() as capture:
        for part in parts:
            screen.print(part.on(screen) if isinstance(part, Grid) else part, soft_wrap=isinstance(part, str))
    # Tables fill their last column up with spaces.
    clean = capture.get() if screen.is_terminal else _stripped(capture.get())
    click.echo(clean, nl=False, color=True)


def _stripped(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def show_json(value: object, *, indent: int | None = 2) -> None:
    """Print a value as JSON in ASCII, which holds no control characters."""
    click.echo(json.dumps(value, indent=indent, default=_plain))


def note(text: str) -> None:
    """Say something beside the result, on stderr."""
    click.echo(visible(text), err=True)


def span(seconds: float | None) -> str:
    """How long something takes, in at most two units."""
    if seconds is None:
        return "-"
    whole = int(max(0, seconds))
    if whole < 60:
        return f"{whole}s"
    for size, unit, smaller, part in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // smaller:02d}{part}"
    raise AssertionError("unreachable: less than a minute was answered above")


def size(count: int) -> str:
    """Bytes for people."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def moment(at: datetime | None) -> str:
    """A time of the database, to the second."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at else "-"


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
