"""A Postgres whose disk is full for as long as a test wants, without root and without a disk of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from app.stack.postgres import EmbeddedPostgres
from app.stack.process import ProcessSpec

NO_SPACE = "No space left on device"
"""What the server's log says then."""
_SOURCE = Path(__file__).with_name("full_disk.c")
_COMPILE_SECONDS = 60


class FillablePostgres(EmbeddedPostgres):
    """The embedded server, with `full_disk.c` preloaded. It answers for writes: what is on the disk can be changed,
    but no file becomes larger while the disk is full.
    """

    @property
    def _library(self) -> Path:
        # In the server's own folder: its user can't reach the test's.
        return self.folder / "full_disk.so"

    @property
    def _flag(self) -> Path:
        return self.folder / "disk_is_full"

    def prepare(self) -> None:
        """Make the cluster, and compile the library."""
        super().prepare()
        argv = ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(self._library), str(_SOURCE)]
        subprocess.run(argv, check=True, timeout=_COMPILE_SECONDS)
        self._library.chmod(0o755)

    def process(self) -> ProcessSpec:
        spec = super().process()
        preloaded = {"LD_PRELOAD": str(self._library), "FULL_DISK": str(self._flag)}
        return replace(spec, env={**spec.env, **preloaded})

    @contextmanager
    def full(self) -> Iterator[None]:
        """The disk is full while the block runs."""
        self._flag.touch()
        try:
            yield
        finally:
            self._flag.unlink()
