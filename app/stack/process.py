"""What the stack knows about one of its processes: how to run it, tell that it is ready, and stop it."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ProcessSpec:
    """One process of the stack; `env` is its whole environment, times are seconds.

    `ready` answers at once whether the process serves; without it a running process counts as ready.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    uid: int | None = None
    gid: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ready: Callable[[], bool] | None = None
    ready_timeout: float = 60.0
    stop_grace: float = 10.0
