"""The `simmer` command in this process, and in a terminal of its own."""

import os
import pty
import select
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.cli import main
from app.settings import Settings

SIMMER = str(Path(sys.executable).with_name("simmer"))


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


def runner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], environment: Mapping[str, str]) -> Run:
    """Runs the entry point with these settings and no others: a process for each command would take a second."""
    for name in [f"SIMMER_{field.upper()}" for field in Settings.model_fields] + ["SIMMER_API_URL", "SIMMER_API_KEY"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def ended(*arguments: str, **more: Any) -> Done:
        for name, value in more.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr("sys.argv", ["simmer", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return Done(int(left.value.code or 0), *capfd.readouterr())

    return ended


class Terminal:
    """A command whose stdin, stdout and stderr are one terminal; use it as a context manager."""

    def __init__(self, *arguments: str, environment: Mapping[str, str], columns: int = 120) -> None:
        self.seen = b""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            size = {"COLUMNS": str(columns), "LINES": "50", "TERM": "xterm-256color"}
            os.execve(SIMMER, [SIMMER, *arguments], {**os.environ, **size, **environment})

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._terminal)

    def until(self, text: str, timeout: float = 30, *, times: int = 1) -> str:
        """What it wrote once `text` is in it, so many times."""
        deadline = time.monotonic() + timeout
        while self.text.count(text) < times:
            assert time.monotonic() < deadline, self.text
            assert self._read(deadline), self.text
        return self.text

    def press(self, key: bytes) -> None:
        """Type one key."""
        os.write(self._terminal, key)

    def ended(self, timeout: float = 30) -> int:
        """Its exit code."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            assert time.monotonic() < deadline, self.text
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    @property
    def text(self) -> str:
        """All that it wrote so far."""
        return self.seen.decode(errors="replace")

    def _read(self, deadline: float) -> bool:
        """Read on; false if it has ended."""
        ready, _, _ = select.select([self._terminal], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return True
        try:
            more = os.read(self._terminal, 65536)
        except OSError:
            # So Linux says that the other side is gone.
            return False
        self.seen += more
        return bool(more)
