"""Files that hold secrets: mode 0600 from their first byte on, replaced in one step."""

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any


def new_password() -> str:
    return secrets.token_urlsafe(24)


def write_private(path: Path, text: str) -> None:
    """Replace `path` atomically; no other user can read it at any moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read_or_create(path: Path, create: Callable[[], str]) -> str:
    """The text of `path`; made by `create` and kept the first time."""
    try:
        return path.read_text()
    except FileNotFoundError:
        text = create()
        write_private(path, text)
        return text


def read_json(path: Path) -> dict[str, Any]:
    """The object kept in `path`; an empty one if the file is missing or damaged."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
