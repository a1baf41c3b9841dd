"""Process groups: every process of the stack leads its own, so that all it starts can be ended with it."""

import os
import signal
import time
from pathlib import Path

POLL_INTERVAL = 0.05
PROCESSES = Path("/proc")
DEAD = {"Z", "X"}


def is_running(pid: int) -> bool:
    """Whether the process runs; a zombie, which only its parent can remove, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _has_processes_folder() or _state_and_group(PROCESSES / str(pid))[0] not in DEAD


def group_exists(leader: int) -> bool:
    """Whether anything of the group still runs, zombies left aside."""
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return False
    if not _has_processes_folder():
        return True
    found = map(_state_and_group, PROCESSES.glob("[0-9]*"))
    return any(group == leader and state not in DEAD for state, group in found)


def signal_process(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def kill_group(leader: int) -> None:
    """SIGKILL whatever is left of the group; a no-op when nothing is."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def end_group(leader: int, stop_signal: signal.Signals, grace: float) -> None:
    """Ask the leader to stop, and kill what is left of its group after `grace` seconds."""
    signal_process(leader, stop_signal)
    deadline = time.monotonic() + grace
    while group_exists(leader) and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
    kill_group(leader)


def _has_processes_folder() -> bool:
    return (PROCESSES / "self").exists()


def _state_and_group(process: Path) -> tuple[str, int]:
    try:
        # after the name, which may hold spaces and brackets: state, parent, group
        state, _, group = (process / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return "X", 0
    return state, int(group)
