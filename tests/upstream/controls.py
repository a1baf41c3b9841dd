"""What a test steers from outside: gates that hold calls back, and a mode for all calls."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.upstream.directives import Directive, DirectiveError, parse

_MODE_KEYS = {"script", "status", "retry_after", "code", "for_calls", "for_seconds"}


@dataclass(slots=True)
class _Mode:
    directives: Sequence[Directive] = ()
    calls_left: float = 0
    until: float = 0


class Controls:
    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}
        self._mode = _Mode()

    def gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    def close_gates(self) -> None:
        """Calls to come wait again; those that have passed go on."""
        self._gates = {name: gate for name, gate in self._gates.items() if not gate.is_set()}

    def set_mode(self, wanted: dict[str, Any]) -> None:
        """Play `script` (or answer with `status`) on every call, for `for_calls` calls and `for_seconds`.

        An empty object ends the mode. DirectiveError on anything it does not know.
        """
        if unknown := wanted.keys() - _MODE_KEYS:
            raise DirectiveError(f"unknown {sorted(unknown)}; a mode has {sorted(_MODE_KEYS)}")
        directives = parse(wanted.get("script", ""))
        if "status" in wanted:
            options = {"retry-after": wanted.get("retry_after"), "code": wanted.get("code")}
            directives.append(Directive("status", (int(wanted["status"]),), options))
        seconds = wanted.get("for_seconds", float("inf"))
        self._mode = _Mode(directives, wanted.get("for_calls", float("inf")), time.monotonic() + seconds)

    def mode_directives(self) -> Sequence[Directive]:
        """What the mode adds in front of a call's own directives; counts the call."""
        if self._mode.calls_left <= 0 or time.monotonic() > self._mode.until:
            return ()
        self._mode.calls_left -= 1
        return self._mode.directives
