"""What commands print: never a control character of somebody else's, tables that fit, JSON in ASCII."""

import io
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from rich.console import Console

from app.commands.terminal import Cell, Column, Grid, note, show, show_json, size, span, visible

ID = "resp_01a209845fa175338e7100505f4f4b71"
GRID = Grid(
    (Column("ID"), Column("STATUS"), Column("MODEL", 1), Column("AGE", right=True), Column("KEY", 2)),
    [[Cell(ID), Cell("failed", "bold red"), Cell("gpt-4.1"), Cell("3s"), Cell("ops \x1b[2J\u202e")]],
)


def shown(width: int, grid: Grid = GRID) -> list[str]:
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with screen.capture() as capture:
        screen.print(grid.on(screen))
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain ünïcode 漢字 👩\u200d🚀", "plain ünïcode 漢字 👩\u200d🚀"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nb\tc\x00\x7f", "a\\r\\nb\\tc\\x00\\x7f"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("\u2028\u2029\ud800", "\\u2028\\u2029\\ud800"),
    ],
)
def test_what_could_steer_a_terminal_is_spelled_out(text: str, said: str) -> None:
    assert visible(text) == said


def test_texts_keep_their_lines() -> None:
    assert visible("a\n\tb\r\x1bc", lines=True) == "a\n\tb\\r\\x1bc"


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (200, ["ID", "STATUS", "MODEL", "AGE", "KEY"]),
        (60, ["ID", "STATUS", "MODEL", "AGE"]),
        (52, ["ID", "STATUS", "AGE"]),
    ],
)
def test_a_table_leaves_out_what_has_no_room(width: int, heads: list[str]) -> None:
    head, line = shown(width)
    assert head.split() == heads
    assert line.split()[0] == ID
    assert max(map(len, (head, line))) <= width


def test_a_table_that_can_not_fit_is_folded_and_not_cut() -> None:
    text = "".join("".join(line.split()) for line in shown(30)[1:])
    assert set(ID) <= set(text)
    assert len([character for character in text if character in "0123456789abcdef"]) >= 32


def test_cells_are_text_and_never_markup() -> None:
    line = shown(200, Grid((Column("A"), Column("B")), [[Cell("[bold]x[/bold] :smile:"), Cell("\x1b[2J")]]))[1]
    assert line.split() == ["[bold]x[/bold]", ":smile:", "\\x1b[2J"]


def test_files_get_nothing_but_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "20"), ("TERM", "xterm-256color")):
        monkeypatch.setenv(name, value)
    show("a [bold]text[/bold] " + "long " * 50, GRID)
    note("beside \x1b[31m")
    said = capsys.readouterr()
    first, head, line = said.out.splitlines()
    assert first == ("a [bold]text[/bold] " + "long " * 50).rstrip()
    assert head.split() == ["ID", "STATUS", "MODEL", "AGE", "KEY"]
    assert line.endswith("ops \\x1b[2J\\u202e")
    assert said.err == "beside \\x1b[31m\n"


def test_json_is_ascii_and_says_times_in_iso(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"at": datetime(2026, 1, 2, tzinfo=UTC), "id": UUID(int=1), "cell": Cell("é\x1b")}
    show_json(value)
    said = capsys.readouterr().out
    assert said.isascii()
    assert "\x1b" not in said
    assert json.loads(said) == {"at": "2026-01-02T00:00:00+00:00", "id": str(UUID(int=1)), "cell": ["é\x1b", ""]}
    with pytest.raises(TypeError, match="object has no form in JSON"):
        show_json(object())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "-"), (-3, "0s"), (0.9, "0s"), (59.9, "59s"), (60, "1m00s"), (3599, "59m59s"), (3660, "1h01m"),
     (86_399, "23h59m"), (90_000, "1d01h")],
)  # fmt: skip
def test_spans(seconds: float | None, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (20 * 2**20, "20 MiB"), (2**60, "1048576 TiB")]
)
def test_sizes(count: int, said: str) -> None:
    assert size(count) == said
