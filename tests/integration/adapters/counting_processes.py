"""A master and its processes, as gunicorn has them, that count and end; prints what a process sees, as JSON."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from app.adapters import metric_files
from app.adapters.metrics import ApiMetrics

KIND = ("/r", "GET", 200)


def forked(act: Callable[[], None]) -> int:
    """A child that does this, and then waits to be killed."""
    done, tell = os.pipe()
    pid = os.fork()
    if not pid:
        act()
        os.write(tell, b".")
        while True:
            signal.pause()
    os.read(done, 1)
    return pid


def killed(pid: int) -> int:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return pid


def count(times: int, streams: int = 0) -> Callable[[], None]:
    def act() -> None:
        metrics = ApiMetrics()
        metrics.streams = streams
        for _ in range(times):
            metrics.answered(*KIND, 0.02, None)
        metrics.sample()

    return act


def look() -> str:
    """What one more process shows."""
    reading, writing = os.pipe()

    def act() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(ApiMetrics().render())

    pid = forked(act)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    metric_files.forget(killed(pid))
    return text


def files(made: Path) -> list[str]:
    return sorted(path.name for path in made.glob("*.db"))


def main(parent: str) -> None:
    left = Path(parent) / "simmer-metrics-left"
    left.mkdir()
    (left / "owner").touch()
    made = metric_files.make(parent)
    told = {"left": left.exists()}
    os.environ[metric_files.VARIABLE] = str(made)
    first, second = forked(count(3, streams=1)), forked(count(4, streams=2))
    shown = [look()]
    metric_files.forget(killed(first))
    shown.append(look())
    with metric_files.reading():
        metric_files.forget(killed(second))
        while_read = files(made)
    shown.append(look())
    third = forked(count(5))
    shown.append(look())
    live = files(made)
    metric_files.forget(killed(third))
    again = metric_files.make(parent)
    told["inherited"] = made.exists()
    metric_files.remove()
    print(
        json.dumps(
            {
                **told,
                "shown": shown,
                "while_read": while_read,
                "live": live,
                "pids": [first, second, third],
                "gone": not again.exists(),
            }
        )
    )


main(sys.argv[1])
