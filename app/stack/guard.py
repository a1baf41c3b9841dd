"""The guard: a small process that outlives a killed supervisor just long enough to end its children.

It reads lines from a pipe whose other end the supervisor holds: `PID SIGNAL` when a process group starts,
`-PID` when it is gone. A new child writes its own line before it becomes the program it is meant to be, so
there is no moment in which a child runs unregistered. When the pipe closes, the guard ends what is left.
A pipe rather than PR_SET_PDEATHSIG: that one is bound to a thread, is lost with a change of user, reaches no
grandchild and gives nobody the time to stop in order.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from app.stack.groups import end_group, group_exists

# short: the supervisor is dead, and somebody waits to start anew
GRACE = 3.0
# stdin is the guard's pipe until the very last moment
LAUNCH = 'echo "$$ $0" >&0; exec "$@" </dev/null'


class Guard:
    """The supervisor's end of the pipe."""

    def __init__(self, inherit: Sequence[int] = ()) -> None:
        """`inherit`: descriptors the guard holds as long as it lives, such as the home's lock."""
        self._inherit = tuple(inherit)
        self._running: dict[int, signal.Signals] = {}
        self._process, self.pipe = self._start()

    def ensure(self) -> None:
        """Start a new guard if somebody killed this one, and tell it what runs."""
        if self._process.poll() is None:
            return
        self.pipe.close()
        self._process, self.pipe = self._start()
        for leader, stop_signal in self._running.items():
            self._tell(f"{leader} {stop_signal.value}")

    def launcher(self, argv: Sequence[str], stop_signal: signal.Signals) -> list[str]:
        """The command that registers itself through its stdin (`pipe`) and then becomes `argv`."""
        return ["/bin/sh", "-c", LAUNCH, str(stop_signal.value), *argv]

    def started(self, leader: int, stop_signal: signal.Signals) -> None:
        self._running[leader] = stop_signal

    def ended(self, leader: int) -> None:
        if self._running.pop(leader, None) is not None:
            self._tell(f"-{leader}")

    def close(self, timeout: float = 30.0) -> None:
        self.pipe.close()
        self._process.wait(timeout)

    def _tell(self, line: str) -> None:
        try:
            self.pipe.write(f"{line}\n")
            self.pipe.flush()
        except BrokenPipeError:
            # ensure() repeats everything to the next guard
            return

    def _start(self) -> "tuple[subprocess.Popen[bytes], IO[str]]":
        read_end, write_end = os.pipe()
        process = subprocess.Popen(  # nosec B603
            [sys.executable, "-m", "app.stack.guard"],
            stdin=read_end,
            cwd=Path("/"),
            pass_fds=self._inherit,
            start_new_session=True,
        )
        os.close(read_end)
        return process, os.fdopen(write_end, "w")


def watch(lines: Iterable[str]) -> list[tuple[int, signal.Signals]]:
    """What is still running at the end of `lines`, oldest first."""
    running: dict[int, signal.Signals] = {}
    for line in lines:
        if line.startswith("-"):
            running.pop(int(line[1:]), None)
        else:
            leader, number = line.split()
            running[int(leader)] = signal.Signals(int(number))
    return list(running.items())


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for leader, stop_signal in reversed(watch(sys.stdin)):
        if group_exists(leader):
            end_group(leader, stop_signal, GRACE)


if __name__ == "__main__":
    main()
