"""The one terminal: prefixes, colours, and a terminal that goes away."""

import io

import pytest

from app.stack.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ClosedTerminal(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError


def test_each_line_names_its_process() -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.line("api", "hello")
    console.say("ready")
    assert stream.getvalue() == "api      | hello\nsimmer   | ready\n"


def test_a_terminal_gets_one_colour_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    console = Console(stream)
    for name in ("api", "jobs", "api"):
        console.line(name, "x")
    first, second, third = stream.getvalue().splitlines()
    assert first == third
    assert first.startswith("\x1b[")
    assert first.replace("api ", "jobs") != second


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    Console(stream).line("api", "x")
    assert "\x1b" not in stream.getvalue()


def test_a_closed_terminal_does_not_end_the_stack() -> None:
    Console(ClosedTerminal()).line("api", "nobody reads this")
