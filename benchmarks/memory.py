"""The memory of Simmer's processes at rest, and what the imports take that it is made of.

PSS counts pages that processes share by share, so that it adds up; RSS counts them in full.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any

import psutil

from benchmarks.outcome import Figure, Outcome
from benchmarks.stack import Stack, running
from tests.cluster import Client, Cluster

RUNS = 2
API_PROCESSES = 2
JOBS = 40
"""What is created and run before the processes are looked at again: they have their connections then."""
TOP = 12
"""Packages that are told of."""
IMPORTED = {
    "API": ("gevent.monkey", "app.gunicorn", "app.factory"),
    "worker": ("gevent.monkey", "celery.bin.celery", "workers.celery_app", "workers.jobs", "workers.maintenance"),
}
TIMEOUT = 60.0
MB = 1000**2

Sizes = dict[str, int]
"""Bytes, by what they are of."""


def run() -> Outcome:
    """Start everything a few times; look at it at once, and after some jobs."""
    started, used = [], []
    with running() as stack:
        imported = {kind: [_imported(modules, stack) for _ in range(RUNS)] for kind, modules in IMPORTED.items()}
        for number in range(RUNS):
            url = _start(stack.cluster, number)
            started.append(_sizes(stack.cluster, number))
            _use(url, stack)
            used.append(_sizes(stack.cluster, number))
            _stop(stack.cluster, number)
    figures = [
        *_figures("after its start", started),
        *_figures(f"after {JOBS} jobs", used),
        *(figure for kind, runs in imported.items() for figure in _import_figures(kind, runs)),
    ]
    details = {kind: _packages(runs) for kind, runs in imported.items()}
    notes = [_told(kind, packages) for kind, packages in details.items()]
    return Outcome("memory", "Memory at rest", figures, notes=notes, details=details)


def _start(cluster: Cluster, number: int) -> str:
    cluster.worker(f"jobs{number}")
    cluster.worker(f"system{number}", queue="system", concurrency=20)
    cluster.beat(f"beat{number}")
    return cluster.api(API_PROCESSES, name=f"api{number}")


def _stop(cluster: Cluster, number: int) -> None:
    for name in ("api", "jobs", "system", "beat"):
        cluster.started(f"{name}{number}").stop()


def _use(url: str, stack: Stack) -> None:
    client = Client(url, stack.keys[0])
    for job_id in [client.submit("Say something.") for _ in range(JOBS)]:
        client.wait(job_id, "completed")


def _sizes(cluster: Cluster, number: int) -> Sizes:
    master = psutil.Process(cluster.started(f"api{number}").pid)
    children = master.children()
    assert len(children) == API_PROCESSES
    each = [_of(child) for child in children]
    found = {f"API process, {what}": sum(one[what] for one in each) // len(each) for what in each[0]}
    found |= {f"gunicorn's master, {what}": size for what, size in _of(master).items()}
    for name, shown in (("jobs", "worker process"), ("system", "system worker"), ("beat", "beat")):
        process = psutil.Process(cluster.started(f"{name}{number}").pid)
        found |= {f"{shown}, {what}": size for what, size in _of(process).items()}
    return found


def _of(process: psutil.Process) -> Sizes:
    full = process.memory_full_info()
    return {"PSS": full.pss, "RSS": full.rss}


def _figures(when: str, runs: Sequence[Sizes]) -> list[Figure]:
    return [Figure(f"{what}, {when}", "MB", [run[what] / MB for run in runs]) for what in runs[0]]


def _imported(modules: Sequence[str], stack: Stack) -> Any:
    """What a fresh process takes to import the modules, as `benchmarks.imports` tells it."""
    command = [sys.executable, "-m", "benchmarks.imports", *modules]
    env = {**os.environ, **stack.cluster.env}
    done = subprocess.run(command, env=env, capture_output=True, timeout=TIMEOUT, check=True)  # noqa: S603 - our own
    return json.loads(done.stdout)


def _import_figures(kind: str, runs: Sequence[Any]) -> list[Figure]:
    return [
        Figure(f"imports of the {kind}: time", "s", [run["seconds"] for run in runs]),
        Figure(f"imports of the {kind}: memory", "MB", [run["bytes"] / MB for run in runs]),
        Figure(f"imports of the {kind}: modules", "", [run["modules"] for run in runs]),
    ]


def _packages(runs: Sequence[Any]) -> dict[str, tuple[float, float]]:
    """MB and milliseconds of each package itself, without what it imports; the largest first."""
    found = {
        name: (
            median(run["packages"][name][1] / MB for run in runs),
            median(run["packages"][name][0] * 1000 for run in runs),
        )
        for name in runs[0]["packages"]
    }
    return dict(sorted(found.items(), key=lambda item: item[1], reverse=True))


def _told(kind: str, packages: dict[str, tuple[float, float]]) -> str:
    largest = [f"{name} {size:.1f} MB {took:.0f} ms" for name, (size, took) in list(packages.items())[:TOP]]
    return f"imports of the {kind}: {', '.join(largest)}"
