"""Processes that tests start, watch, freeze and kill; every wait has a deadline."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import psutil

T = TypeVar("T")
_POLL_SECONDS = 0.02
_LOG_TAIL = 4_000


class DeadlineError(AssertionError):
    """What a test waited for did not come in time."""


class Memory(NamedTuple):
    """Bytes; `pss` counts shared pages by share, so that it adds up over processes."""

    rss: int
    pss: int


def wait_until(predicate: Callable[[], T], timeout: float, message: str) -> T:
    """Return the predicate's first truthy value; DeadlineError with the last value after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise DeadlineError(f"not within {timeout} s: {message} (last seen: {value!r})")
        time.sleep(_POLL_SECONDS)
    return value


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Process:
    """A command in a session of its own, its output in `log`; use it as a context manager."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        """`env` is added to this process's environment; an existing `log` is appended to; `uid` needs root."""
        self.log = log
        self._argv = [str(word) for word in argv]
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                user=uid,
                group=gid,
                extra_groups=None if uid is None else [],
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Process {self.pid} {' '.join(self._argv)}>"

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """None while it runs, minus the signal's number if one ended it."""
        return self._popen.poll()

    def log_size(self) -> int:
        """A mark for `wait_log(since=…)`."""
        return self.log.stat().st_size

    def output(self, since: int | None = None) -> str:
        """What this process wrote, from its start or from a mark."""
        with self.log.open("rb") as file:
            file.seek(self._log_start if since is None else since)
            return file.read().decode(errors="replace")

    def wait_log(self, text: str, timeout: float, since: int | None = None) -> str:
        """Wait until `text` was written; return the first line with it. DeadlineError shows the log's end."""

        def line_with_text() -> str | None:
            ended = not self.running  # asked first: what it wrote before its end must still be found
            for line in self.output(since).splitlines():
                if text in line:
                    return line
            if ended:
                raise DeadlineError(f"{self} ended with {self.returncode} before {text!r}{self._tail()}")
            return None

        try:
            line = wait_until(line_with_text, timeout, f"{text!r} in the log of {self}")
        except DeadlineError as error:
            error.add_note(self._tail())
            raise
        assert line
        return line

    def wait(self, timeout: float) -> int:
        """Wait for its end by itself; return the exit code."""
        wait_until(lambda: not self.running, timeout, f"end of {self}")
        return self._popen.returncode

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the process alone, not its children; one that has ended is left in peace."""
        self._popen.send_signal(number)

    def freeze(self) -> None:
        """Stop it and its whole session, as a hung machine would."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def power_off(self) -> None:
        """SIGKILL it and its whole session at once, as the end of a machine would."""
        os.killpg(self.pid, signal.SIGKILL)
        self.stop()

    def stop(self, timeout: float = 15) -> int:
        """SIGTERM, then SIGKILL for it after `timeout` seconds and for children left; return the exit code."""
        if self.running:
            self.resume()
            self.kill(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except DeadlineError:
            self.kill()
            return self.wait(timeout)
        finally:
            self._kill_left_children()

    def memory(self) -> Memory:
        """Of the process and its descendants."""
        parent = psutil.Process(self.pid)
        infos = [process.memory_full_info() for process in (parent, *parent.children(recursive=True))]
        return Memory(rss=sum(info.rss for info in infos), pss=sum(info.pss for info in infos))

    def _kill_left_children(self) -> None:
        # While a member lives the kernel gives the group's id to nobody else, so children left are ours.
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _tail(self) -> str:
        return f"\n--- end of {self.log} ---\n{self.output()[-_LOG_TAIL:]}"
