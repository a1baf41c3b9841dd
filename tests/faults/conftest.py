"""One deployment for the tests of a module, whole again before each; and a load whose history is checked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.faults.deployment import Deployment
from tests.faults.load import Load, Target
from tests.faults.soak import collect, verdict

TIMEOUT = 400
"""Seconds for one test: a load may have to wait for leases, back-offs and restarts one after the other."""

_seeds = count(1)

Loaded = Callable[..., AbstractContextManager[Load]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests beside this file more time than others have."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All processes of a deployment."""
    with Deployment(tmp_path_factory.mktemp("deployment")) as made:
        yield made


@pytest.fixture
def deployment(running: Deployment) -> Iterator[Deployment]:
    """The module's deployment; what a test leaves broken is mended after it."""
    yield running
    running.heal()


@pytest.fixture
def loaded(deployment: Deployment) -> Loaded:
    """Puts the deployment under load while a block runs; then mends it, waits for every job, and holds the invariants
    I1 to I9. `rate` is in jobs a second; more options are those of Load.
    """

    @contextmanager
    def run(rate: float = 8, **options: Any) -> Iterator[Load]:
        load = Load(Target(deployment.urls, deployment.secrets), rate=rate, seed=next(_seeds), **options)
        with load:
            load.wait_accepted(5)
            yield load
            deployment.heal()
        load.drain(90)
        collect(deployment, load.history)
        assert verdict(load.history) == []

    return run
