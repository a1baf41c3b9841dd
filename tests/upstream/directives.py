"""The directives a prompt may hold, such as `[[sleep 5]]` or `[[status 429 retry-after=1]]`."""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class DirectiveError(ValueError):
    """A directive nobody knows, or one with wrong arguments."""


@dataclass(frozen=True, slots=True)
class Directive:
    name: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Syntax:
    args: tuple[Callable[[str], Any], ...] = ()
    options: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    takes_text: bool = False
    """All that follows the name is one argument, spaces too."""


def _breakage(text: str) -> str:
    if text not in BREAKAGES:
        raise ValueError(f"by={text} is none of {', '.join(BREAKAGES)}")
    return text


BREAKAGES = ("reset", "close", "half", "garbage", "hang")
_ERROR_OPTIONS: dict[str, Callable[[str], Any]] = {"code": str, "message": str, "retry-after": str}
SYNTAX = {
    # waits
    "sleep": _Syntax((float,)),
    "gate": _Syntax((str,)),
    "hang": _Syntax(),
    # ends
    "status": _Syntax((int,), _ERROR_OPTIONS),
    "error": _Syntax((), {**_ERROR_OPTIONS, "status": int}),
    "fail-first": _Syntax((int,), {**_ERROR_OPTIONS, "status": int, "by": _breakage}),
    "reset": _Syntax(),
    "close": _Syntax(),
    "half": _Syntax(),
    "half-stream": _Syntax(),
    "stream-error": _Syntax((), _ERROR_OPTIONS),
    "failed": _Syntax((), _ERROR_OPTIONS),
    "garbage-frame": _Syntax(),
    "no-finish": _Syntax(),
    "garbage": _Syntax((), {"status": int, "type": str}),
    "json": _Syntax((json.loads,)),
    # shapes of the answer
    "tokens": _Syntax((int,), {"rate": float}),
    "huge": _Syntax((int,)),
    "headers": _Syntax(),
    "text": _Syntax(takes_text=True),
    "reasoning": _Syntax(takes_text=True),
    "raw-reasoning": _Syntax(takes_text=True),
    "refusal": _Syntax(takes_text=True),
    "web-search": _Syntax(),
    "finish": _Syntax((str,)),
    "tool": _Syntax((str, json.loads)),
    "interleaved": _Syntax(),
    "cached": _Syntax((int,)),
    "empty-choices": _Syntax(),
    "null-content": _Syntax(),
    "nul-char": _Syntax(),
    "no-usage": _Syntax(),
}

# JSON may hold brackets, so it ends at the first `}` that `]]` follows.
_PATTERN = re.compile(
    r"\[\[(?:(?P<before>tool\s+\S+|json)\s+(?P<json>\{.*?\})|(?P<name>[a-z][a-z-]*)(?P<rest>[^\]]*))\s*\]\]",
    re.DOTALL,
)


def parse(text: str) -> list[Directive]:
    """All directives of `text` in their order; DirectiveError names the first wrong one."""
    return [_directive(match) for match in _PATTERN.finditer(text)]


def without_directives(text: str) -> str:
    return _PATTERN.sub("", text).strip()


def _directive(match: re.Match[str]) -> Directive:
    name, *words = (match["before"] or match["name"]).split()
    syntax = SYNTAX.get(name)
    if syntax is None:
        raise DirectiveError(f"{match[0]} is unknown; the mock knows {', '.join(SYNTAX)}")
    try:
        if match["json"]:
            return _read(name, syntax, [*words, match["json"]], {})
        if syntax.takes_text:
            return Directive(name, (match["rest"].strip(),))
        rest = shlex.split(match["rest"])
        options = dict(word.split("=", 1) for word in rest if "=" in word)
        return _read(name, syntax, [word for word in rest if "=" not in word], options)
    except (ValueError, KeyError) as error:
        raise DirectiveError(f"{match[0]} is malformed ({error!r}); see {__name__}.SYNTAX") from error


def _read(name: str, syntax: _Syntax, words: list[str], options: Mapping[str, str]) -> Directive:
    args = tuple(kind(word) for kind, word in zip(syntax.args, words, strict=True))
    return Directive(name, args, {key: syntax.options[key](value) for key, value in options.items()})
