"""The supervisor: starts processes, shows their output, restarts what dies, and leaves nothing behind."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from app.stack.child import Child, open_process, why
from app.stack.console import Console
from app.stack.errors import StartError, StopRequestedError
from app.stack.groups import kill_group
from app.stack.guard import Guard
from app.stack.process import ProcessSpec

__all__ = ["ProcessSpec", "Supervisor"]

POLL_INTERVAL = 0.05
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Runs the stack's processes; use as a context manager, whose end stops all of them.

    Batches start in the order they are given; a batch's processes start together. The end goes backwards.
    """

    def __init__(self, console: Console, inherit: Sequence[int] = ()) -> None:
        """`inherit`: descriptors, such as the home's lock, that stay open until the last child is gone."""
        self._console = console
        self._guard = Guard(inherit)
        self._batches: list[list[Child]] = []
        self._stops = 0
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Take over Ctrl-C, SIGTERM and SIGHUP: they end `start` and `run`; once more kills what is slow."""
        self._handlers = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # the handlers stay until the end: an impatient second Ctrl-C must not leave anything behind
        self.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def stopping(self) -> bool:
        return self._stops > 0

    @property
    def pids(self) -> dict[str, int]:
        return {child.spec.name: child.pid for child in self._children() if child.pid is not None}

    def start(self, *specs: ProcessSpec) -> None:
        """Start a batch and wait until all of it is ready. Raises StartError or StopRequestedError."""
        batch: list[Child] = []
        self._batches.append(batch)
        for spec in specs:
            child = Child(spec, self._guard, self._console)
            batch.append(child)
            child.spawn()
        self._wait_ready(specs)

    def run_once(self, spec: ProcessSpec, timeout: float) -> str:
        """Run a step to its end and give its stdout; stderr goes to the console.

        Raises StartError, also after `timeout` seconds, or StopRequestedError.
        """
        process = open_process(spec, self._guard, stderr=subprocess.PIPE)
        deadline = time.monotonic() + timeout
        try:
            output, errors = self._communicate(spec, process, deadline)
        finally:
            kill_group(process.pid)
            process.wait()
            self._guard.ended(process.pid)
        for line in errors.decode(errors="replace").splitlines():
            self._console.line(spec.name, line)
        if process.returncode != 0:
            raise StartError(f"{spec.name} {why(process.returncode)}: see its lines above")
        return output.decode()

    def run(self, on_change: Callable[[], None], until: Callable[[], bool] = lambda: False) -> None:
        """Keep everything running until a stop signal or `until()`; `on_change` follows each restart."""
        while not self._stops and not until():
            self._guard.ensure()
            self._note_ends()
            if self._restart_due():
                on_change()
            time.sleep(POLL_INTERVAL)

    def stop(self) -> None:
        """Stop all processes, the youngest batch first, and kill what outlasts its grace."""
        for batch in reversed(self._batches):
            self._stop_batch(batch)
        self._batches.clear()
        self._guard.close()

    def _stop_batch(self, batch: list[Child]) -> None:
        for child in reversed(batch):
            child.ask_to_stop()
        begun = time.monotonic()
        # the Ctrl-C that began the stop is no impatience, nor is one that ended an earlier batch
        impatient_at = max(self._stops, 1) + 1
        while running := [child for child in batch if child.pid is not None and child.ended() is None]:
            waited = time.monotonic() - begun
            for child in running:
                if waited > child.spec.stop_grace or self._stops >= impatient_at:
                    self._console.say(f"{child.spec.name} did not stop within {waited:.0f} s: killing it")
                    child.kill()
            time.sleep(POLL_INTERVAL)

    def _wait_ready(self, specs: Sequence[ProcessSpec]) -> None:
        begun = time.monotonic()
        waiting = list(specs)
        while waiting:
            self._check_start()
            waiting = [spec for spec in waiting if spec.ready is not None and not spec.ready()]
            for spec in waiting:
                if time.monotonic() - begun > spec.ready_timeout:
                    raise StartError(f"{spec.name} was not ready within {spec.ready_timeout:g} s: see its lines above")
            if waiting:
                time.sleep(POLL_INTERVAL)
        self._check_start()

    def _communicate(
        self, spec: ProcessSpec, process: "subprocess.Popen[bytes]", deadline: float
    ) -> tuple[bytes, bytes]:
        while True:
            try:
                return process.communicate(timeout=POLL_INTERVAL)
            except subprocess.TimeoutExpired:
                self._check_start()
                if time.monotonic() > deadline:
                    raise StartError(f"{spec.name} did not end in time: see its lines above") from None

    def _children(self) -> Iterator[Child]:
        for batch in self._batches:
            yield from batch

    def _check_start(self) -> None:
        if self._stops:
            raise StopRequestedError("stopped while starting")
        for child in self._children():
            returncode = child.ended()
            if returncode is not None:
                raise StartError(f"{child.spec.name} {why(returncode)} while starting: see its lines above")

    def _note_ends(self) -> None:
        for child in self._children():
            pid, returncode = child.pid, child.ended()
            if returncode is not None:
                pause = child.plan_restart()
                self._console.say(f"{child.spec.name} (pid {pid}) {why(returncode)}; starting it again in {pause:g} s")

    def _restart_due(self) -> bool:
        due = [c for c in self._children() if c.restart_at is not None and c.restart_at <= time.monotonic()]
        for child in due:
            child.spawn()
            self._console.say(f"{child.spec.name} started again (pid {child.pid})")
        return bool(due)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stops += 1
