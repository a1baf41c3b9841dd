"""Where faults happen: the deployment, its load, and the chance that decides what exactly is hit."""

import importlib.util
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from celery import Celery

from app.adapters.queue import celery_config
from tests.faults.deployment import Deployment, Node
from tests.faults.load import Load


@dataclass(frozen=True, slots=True)
class Scene:
    """One run of the soak."""

    deployment: Deployment
    load: Load
    random: random.Random

    def one_of(self, nodes: Sequence[str]) -> Node:
        """Any of these nodes."""
        return self.deployment.nodes[self.random.choice(nodes)]

    def linked(self, nodes: Sequence[str]) -> Node:
        """Any of those among them that speak through proxies."""
        return self.random.choice([node for name in nodes if (node := self.deployment.nodes[name]).links])

    def jobs(self, *statuses: str) -> list[UUID]:
        """Up to twenty jobs that are in one of these states, the newest."""
        with self.deployment.database() as connection:
            found: list[Any] = connection.execute(
                "SELECT id FROM jobs WHERE status = ANY(%s) ORDER BY id DESC LIMIT 20", (list(statuses),)
            ).fetchall()
        return [job_id for (job_id,) in found]


Fault = Callable[[Scene], AbstractContextManager[None]]
"""Breaks something on entry, and mends it on exit."""


def celery_of(deployment: Deployment) -> Celery:
    """A Celery app that sends tasks and commands as an administrator's would."""
    celery = Celery("faults", set_as_current=False)
    celery.conf.update(celery_config(deployment.container.settings))
    return celery


def fake_clock(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is wrong by an offset such as `-2h`; time passes at the right pace."""
    # Found, not imported: the import has the importing process start itself anew.
    found = importlib.util.find_spec("libfaketime")
    assert found
    assert found.origin
    library = Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
    return {"LD_PRELOAD": str(library), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1"}
