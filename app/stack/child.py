"""One running process of the stack, its output, and when it may be started again."""

import signal
import subprocess
import threading
import time
from typing import IO

from app.stack.console import Console
from app.stack.groups import kill_group, signal_process
from app.stack.guard import Guard
from app.stack.process import ProcessSpec

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_AFTER = 60.0
LONGEST_LINE = 64 * 1024


def pause_before(failures: int) -> float:
    """Seconds to wait before the start that follows `failures` failures in a row."""
    return min(FIRST_PAUSE * 2.0 ** (failures - 1), LONGEST_PAUSE)


def why(returncode: int) -> str:
    """A return code of subprocess in words."""
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


def open_process(spec: ProcessSpec, guard: Guard, stderr: int) -> "subprocess.Popen[bytes]":
    """Start `spec` in a session of its own, known to the guard from its first moment."""
    guard.ensure()
    process = subprocess.Popen(  # noqa: S603 - the stack's own programs  # nosec B603
        guard.launcher(spec.argv, spec.stop_signal),
        env=dict(spec.env),
        cwd=spec.cwd,
        user=spec.uid,
        group=spec.gid,
        extra_groups=None if spec.uid is None else [],
        stdin=guard.pipe,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )
    guard.started(process.pid, spec.stop_signal)
    return process


class Child:
    """A process that can be started again and again; its group dies with it."""

    def __init__(self, spec: ProcessSpec, guard: Guard, console: Console) -> None:
        self.spec = spec
        self.failures = 0
        self.restart_at: float | None = None
        self._guard = guard
        self._console = console
        self._started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def spawn(self) -> None:
        self.restart_at = None
        self._started_at = time.monotonic()
        self._process = process = open_process(self.spec, self._guard, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        threading.Thread(target=self._copy, args=(process.stdout,), daemon=True).start()

    def ended(self) -> int | None:
        """The return code once the process is gone, told exactly once; ends what it left behind."""
        if self._process is None:
            return None
        returncode = self._process.poll()
        if returncode is not None:
            self._forget(self._process.pid)
        return returncode

    def plan_restart(self) -> float:
        """Note a failure; gives the seconds until the next start."""
        steady = time.monotonic() - self._started_at > STEADY_AFTER
        self.failures = 1 if steady else self.failures + 1
        pause = pause_before(self.failures)
        self.restart_at = time.monotonic() + pause
        return pause

    def ask_to_stop(self) -> None:
        self.restart_at = None
        if self._process is not None:
            signal_process(self._process.pid, self.spec.stop_signal)

    def kill(self) -> None:
        if self._process is not None:
            kill_group(self._process.pid)
            self._process.wait()
            self._forget(self._process.pid)

    def _forget(self, pid: int) -> None:
        kill_group(pid)
        self._guard.ended(pid)
        self._process = None

    def _copy(self, output: IO[bytes]) -> None:
        with output:
            for line in iter(lambda: output.readline(LONGEST_LINE), b""):
                self._console.line(self.spec.name, line.decode(errors="replace").rstrip())
