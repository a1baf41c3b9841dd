"""The account the database server runs as: PostgreSQL refuses to run as root."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECK_TIMEOUT = 30.0


@dataclass(frozen=True)
class Account:
    """A user and group to run as; `uid` None means the caller's own."""

    uid: int | None = None
    gid: int | None = None

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float) -> "subprocess.CompletedProcess[str]":
        """Run to its end as this account, in a plain environment and outside of the caller's folder."""
        return subprocess.run(  # noqa: S603 - every caller passes a fixed program  # nosec B603
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd="/",
            env=plain_environment(),
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )

    def can_enter(self, folder: Path) -> bool:
        return self.run(["/bin/sh", "-c", 'cd "$0"', str(folder)], timeout=CHECK_TIMEOUT).returncode == 0

    def can_execute(self, program: Path) -> bool:
        """Whether the program really starts: permissions, libraries and mount options all count."""
        try:
            return self.run([str(program), "--version"], timeout=CHECK_TIMEOUT).returncode == 0
        except OSError:
            return False

    def give(self, path: Path) -> None:
        """Hand a file or folder that the stack made itself to this account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def server_account() -> Account:
    """The caller, or for root the `postgres` user if there is one, else `nobody`."""
    if os.geteuid() != 0:
        return Account()
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise LookupError("no user to run PostgreSQL as: create a user named postgres, or run simmer without root")


def plain_environment() -> dict[str, str]:
    """No locale, no PG* variables: the database behaves the same in every shell."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
