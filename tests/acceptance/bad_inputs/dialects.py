"""The two dialects, where they differ."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

MODEL = "gpt-4.1"


@dataclass(frozen=True)
class Dialect:
    """One of the two ways to say the same."""

    name: str
    path: str
    inputs: str
    """What the conversation is called."""
    message: Callable[[str, str], Any]
    """A message of a role, with a text."""

    def body(self, text: str = "hello", **change: Any) -> dict[str, Any]:
        """A good request, but for the change; None leaves a parameter out."""
        good = {"model": MODEL, "background": True, self.inputs: [self.message("user", text)]}
        return {name: value for name, value in (good | change).items() if value is not None}


FREDDY = Dialect("freddy", "/v1/model/response", "inputs", lambda role, text: {"role": role, "texts": [{"text": text}]})
OPENAI = Dialect("openai", "/v1/responses", "input", lambda role, text: {"role": role, "content": text})

both = pytest.mark.parametrize("dialect", [FREDDY, OPENAI], ids=lambda dialect: dialect.name)
