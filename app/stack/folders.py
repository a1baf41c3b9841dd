"""The home folder of a stack, and the one lock that says who runs in it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.stack.errors import HomeBusyError
from app.stack.groups import is_running

LOCK_NAME = "lock"
POLL_INTERVAL = 0.1


def make_folder(path: Path, mode: int) -> None:
    """Create `path` and its missing parents with exactly `mode`; folders that exist stay as they are."""
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)


def make_home(home: Path) -> None:
    """As root the database runs as another user, who must be able to walk through the home."""
    make_folder(home, 0o755 if os.geteuid() == 0 else 0o700)


@contextmanager
def home_lock(home: Path, patience: float = 60.0) -> Iterator[int]:
    """Hold the home for this process; gives the lock's descriptor.

    A child that inherits the descriptor holds the home as well: after a SIGKILL the guard does, until it has
    stopped what was left. Then, and only then, this waits, for `patience` seconds. Raises HomeBusyError.
    """
    descriptor = os.open(home / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        _acquire(file, home, patience)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _acquire(file: IO[str], home: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(file)
            if owner is None or is_running(owner) or time.monotonic() > deadline:
                raise HomeBusyError(_busy(home, owner)) from None
            time.sleep(POLL_INTERVAL)
        else:
            file.seek(0)
            return


def _busy(home: Path, owner: int | None) -> str:
    by = f" (process {owner})" if owner else ""
    return f"simmer runs in {home} already{by}: stop it, or choose another home with SIMMER_HOME"


def _owner(file: IO[str]) -> int | None:
    file.seek(0)
    text = file.read().strip()
    return int(text) if text.isdigit() else None
