"""Run parts of a test as a user without rights."""

import os
import pwd
import traceback
from collections.abc import Callable

import pytest

from app.stack.accounts import Account

_nobody = pwd.getpwnam("nobody")
NOBODY = Account(_nobody.pw_uid, _nobody.pw_gid)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


def run_as(account: Account, action: Callable[[], None]) -> None:
    """Run in a forked process as `account`: the interpreter's own folder may be out of that user's reach."""
    assert account.uid is not None
    assert account.gid is not None
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            action()
            code = 0
        finally:
            # never back into pytest: this is a copy of it
            if code:
                traceback.print_exc()
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "see the traceback of the forked process in the output"
