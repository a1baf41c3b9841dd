"""A server of the embedded stack as a process of a test: to freeze, kill and start again."""

import signal
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from app.stack.postgres import EmbeddedPostgres
from app.stack.process import ProcessSpec
from app.stack.valkey import EmbeddedValkey
from tests.processes import Process, wait_until

START_TIMEOUT = 60.0


class Embedded(Protocol):
    """What EmbeddedPostgres and EmbeddedValkey have in common."""

    @property
    def url(self) -> str: ...
    def prepare(self) -> None: ...
    def process(self) -> ProcessSpec: ...
    def destroy(self) -> None: ...


class UnsyncedPostgres(EmbeddedPostgres):
    """For databases that live as long as a test. A killed server keeps what it wrote, for the operating system has it;
    what each DROP DATABASE would wait for is the disk, several hundred milliseconds of it.
    """

    def process(self) -> ProcessSpec:
        spec = super().process()
        return replace(spec, argv=[*spec.argv, "--fsync=off"])


class RoomyValkey(EmbeddedValkey):
    """With a database for each test: if one came round again, workers that live longer than a test would take the
    messages of another.
    """

    def process(self) -> ProcessSpec:
        spec = super().process()
        return replace(spec, argv=[*spec.argv, "--databases", "100000"])


class Server:
    """Prepared and started on entry, stopped and deleted on exit."""

    def __init__(self, embedded: Embedded, log: Path) -> None:
        self.embedded = embedded
        self._log = log
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.embedded.prepare()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.embedded.destroy()

    @property
    def url(self) -> str:
        return self.embedded.url

    @property
    def process(self) -> Process:
        assert self._process, "the server is not started"
        return self._process

    def start(self) -> None:
        spec = self.embedded.process()
        self._process = Process(spec.argv, log=self._log, env=spec.env, cwd=spec.cwd, uid=spec.uid, gid=spec.gid)
        assert spec.ready
        wait_until(spec.ready, START_TIMEOUT, f"{spec.name} ready")

    def come_back(self) -> None:
        """Wait until it serves again, and start it if it has given up, or does so meanwhile."""
        ready = self.embedded.process().ready
        assert ready
        wait_until(lambda: ready() or not self.process.running, START_TIMEOUT, f"{self.process} ready, or ended")
        if not self.process.running:
            self.start()

    def stop(self) -> None:
        """Its own way of an orderly stop; SIGKILL for what is left."""
        self.process.resume()
        self.process.kill(self.embedded.process().stop_signal)
        self.process.stop()

    def kill(self) -> None:
        """As a power cut: `start()` brings it back with what it had written."""
        self.process.kill(signal.SIGKILL)
        self.process.stop()
