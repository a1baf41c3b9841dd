"""`simmer destroy`: delete what the stack made, and nothing else that may lie in the home."""

import shutil
from pathlib import Path

from app.stack.assembly import FLOWER_FILE, MODELS_FILE
from app.stack.folders import LOCK_NAME, home_lock
from app.stack.keys import FILE_NAME as KEY_FILE
from app.stack.ports import FILE_NAME as PORTS_FILE
from app.stack.postgres import EmbeddedPostgres
from app.stack.runfile import FILE_NAME as RUN_FILE
from app.stack.valkey import EmbeddedValkey

FILES = (FLOWER_FILE, MODELS_FILE, KEY_FILE, PORTS_FILE, RUN_FILE, LOCK_NAME)


def destroy_home(home: Path) -> None:
    """Delete the home's data, a database outside of it too. Raises HomeBusyError while a stack runs in it."""
    home = home.absolute()
    if not home.is_dir():
        EmbeddedPostgres(home, port=0).destroy()
        return
    with home_lock(home):
        EmbeddedPostgres(home, port=0).destroy()
        EmbeddedValkey(home, port=0).destroy()
        shutil.rmtree(home / "beat", ignore_errors=True)
        for name in FILES:
            (home / name).unlink(missing_ok=True)
    if not any(home.iterdir()):
        home.rmdir()
