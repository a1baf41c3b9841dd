"""The stack's own API key: made once, kept in the home, made anew when the database doesn't know it."""

import json
from collections.abc import Callable
from pathlib import Path

from app.domain.scopes import DEFAULT_SCOPES
from app.stack.errors import StackError
from app.stack.http import call
from app.stack.private import read_json, write_private

FILE_NAME = "api-key.json"
SCOPES = (*DEFAULT_SCOPES, "webhooks")
"""All that a developer tries out on one machine. A kept key stays as it was made, and so do its jobs."""
REFUSED = (401, 403)


def local_key(home: Path, api_url: str, create: Callable[[], str]) -> str:
    """The kept key if the running API still takes it, else a new one; `create` gives the command's JSON."""
    file = home / FILE_NAME
    kept = read_json(file).get("key")
    if isinstance(kept, str) and _works(api_url, kept):
        return kept
    created = create()
    try:
        key = str(json.loads(created)["key"])
    except (ValueError, KeyError, TypeError):
        raise StackError("`simmer keys create --json` printed no key: run it by hand to see why") from None
    write_private(file, created)
    return key


def _works(api_url: str, key: str) -> bool:
    status, _ = call(f"{api_url}/v1/model/response?limit=1", authorization=f"Bearer {key}")
    return status not in REFUSED
