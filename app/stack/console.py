"""One terminal for many processes: each line carries the name of its process, in a colour on a terminal."""

import os
import threading
from typing import IO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95)
OWN_NAME = "simmer"
NAME_WIDTH = 8


class Console:
    """Writes whole lines from any thread; colours only for a terminal, and never with NO_COLOR set."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")

    def line(self, name: str, text: str) -> None:
        with self._lock:
            self._write(f"{self._prefix(name)} {text}\n")

    def say(self, text: str) -> None:
        """A line of the supervisor itself."""
        self.line(OWN_NAME, text)

    def block(self, text: str) -> None:
        """Several lines without a prefix, to be copied from."""
        with self._lock:
            self._write(f"{text}\n")

    def _prefix(self, name: str) -> str:
        prefix = f"{name:<{NAME_WIDTH}} |"
        if not self._coloured:
            return prefix
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\x1b[{colour}m{prefix}\x1b[0m"

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # the terminal is gone: the stack must still stop in order
            return
