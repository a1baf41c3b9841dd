"""`run.json` in the home: where the running stack is to be found, for scripts; it exists only while it runs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from app.settings import Settings
from app.stack.private import read_json, write_private

FILE_NAME = "run.json"


@dataclass(frozen=True)
class Addresses:
    """Every address and secret of a running stack; `model_url` is None without the embedded model."""

    api_url: str
    api_key: str
    flower_url: str
    flower_user: str
    flower_password: str
    database_url: str
    broker_url: str
    models: str
    """Path of the models file."""
    model_url: str | None


class RunFile:
    """Mode 0600, replaced in one step: a reader sees the old or the new content, never half of it."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE_NAME

    def write(self, addresses: Addresses, pids: dict[str, int]) -> None:
        write_private(self.path, json.dumps({**asdict(addresses), "pids": pids}, indent=2) + "\n")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def with_running_stack(settings: Settings) -> Settings:
    """`settings` with the database, the broker and the models of the stack that runs in their home, if one does."""
    found = read_json(settings.home / FILE_NAME)
    update: dict[str, object] = {name: found[name] for name in ("database_url", "broker_url") if name in found}
    if settings.models is None and "models" in found:
        update["models"] = Path(found["models"])
    return settings.model_copy(update=update)
