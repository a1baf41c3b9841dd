"""The home folder's modes, and its lock."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.stack.errors import HomeBusyError
from app.stack.folders import home_lock, make_folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_new_folders_get_exactly_the_mode_and_old_ones_keep_theirs(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    before = os.umask(0o077)
    try:
        make_folder(tmp_path / "a" / "b", 0o755)
    finally:
        os.umask(before)
    assert mode(tmp_path) == 0o700
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o755
    make_folder(tmp_path / "a", 0o700)
    assert mode(tmp_path / "a") == 0o755


def test_a_second_holder_is_refused_with_the_pid_and_the_way_out(tmp_path: Path) -> None:
    with home_lock(tmp_path), pytest.raises(HomeBusyError) as refused, home_lock(tmp_path):
        pass
    assert str(os.getpid()) in str(refused.value)
    assert "SIMMER_HOME" in str(refused.value)


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with home_lock(tmp_path):
            pass
    assert mode(tmp_path / "lock") == 0o600


def test_a_killed_owners_lock_is_waited_for(tmp_path: Path) -> None:
    """The owner is dead, a child of it (here: a process that ends when its stdin closes) still holds the home."""
    script = (
        "import os, subprocess, sys; from pathlib import Path; from app.stack.folders import home_lock\n"
        "with home_lock(Path(sys.argv[1])) as lock:\n"
        "    subprocess.Popen(['cat'], stdin=0, pass_fds=[lock]); os._exit(0)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE)
    owner.wait(30)
    assert owner.stdin is not None
    with pytest.raises(HomeBusyError), home_lock(tmp_path, patience=0.3):
        pass
    owner.stdin.close()
    with home_lock(tmp_path, patience=30):
        pass
