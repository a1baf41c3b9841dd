"""The folder in which the API's processes count: made by gunicorn's master, in memory where there is such a thing.

prometheus_client maps one file into each process for each kind of metric, so that a killed process loses no count. It
leaves the files of ended processes to us: here they are added up into one, or each restart would leave files for ever.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client itself looks for the folder's name."""
_PREFIX = "simmer-metrics-"
_OWNER = "owner"
_MERGING = "merging"
_ENDED = "0"
"""Stands for all ended processes, in place of a process id."""
_KINDS = ("counter", "histogram")
_made: list[Path] = []


def make(parent: str | None) -> Path:
    """A folder for this master and the processes it forks, in `parent` or the system's place for such; remove what
    killed masters left there.
    """
    where = Path(parent or tempfile.gettempdir())
    for left in where.glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
    # Held for as long as the master or one of its processes lives: they inherit it.
    owner = os.open(made / _OWNER, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX)
    (made / _MERGING).touch()
    _made[:] = [made]
    return made


def remove() -> None:
    """At the master's end."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


def folder() -> Path | None:
    """Where this process is to count together with others; None if it counts for itself."""
    return _made[0] if _made else None


def count_together() -> None:
    """Have the metrics that are made from here on count in the folder. VARIABLE must be set."""
    if not getattr(values.ValueClass, "_multiprocess", False):
        values.ValueClass = values.MultiProcessValue()


def _remove_if_left(made: Path) -> None:
    try:
        with (made / _OWNER).open("r+b") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(made)
    except OSError:
        # Somebody lives in it, or it is another user's.
        return


@contextmanager
def reading() -> Iterator[str]:
    """The folder's name. While the block reads its files nobody adds them up: a count would be there twice, or not."""
    made = _made[0]
    with (made / _MERGING).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield str(made)


def forget(pid: int) -> None:
    """Drop the gauges of a process that has ended, and add what it counted to what the ended ones did.

    If somebody reads just now that waits until the next process ends: the master must not.
    """
    made = _made[0]
    for live in made.glob(f"gauge_live*_{pid}.db"):
        live.unlink(missing_ok=True)
    (made / f"ended-{pid}").touch()
    with (made / _MERGING).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        for mark in made.glob("ended-*"):
            for kind in _KINDS:
                _add_up(made, kind, mark.name.removeprefix("ended-"))
            mark.unlink()


def _add_up(made: Path, kind: str, pid: str) -> None:
    ended, total, next_total = made / f"{kind}_{pid}.db", made / f"{kind}_{_ENDED}.db", made / f"{kind}.next"
    if not ended.exists():
        return
    written = MmapedDict(str(next_total))
    files = [str(path) for path in (total, ended) if path.exists()]
    for metric in MultiProcessCollector.merge(files, accumulate=False):
        for sample in metric.samples:
            labels = list(sample.labels), list(sample.labels.values())
            written.write_value(mmap_key(metric.name, sample.name, *labels, metric.documentation), sample.value, 0.0)
    written.close()
    next_total.replace(total)
    ended.unlink()
