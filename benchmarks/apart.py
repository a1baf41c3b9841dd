"""Runs a load in a process of its own, and tells how busy that was: at one core, the load would measure itself."""

import asyncio
import resource
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Load(Generic[T]):
    """What a load found, and the part of one core that it took."""

    result: T
    share: float

    @property
    def note(self) -> str:
        """That it was not the bottleneck, or was."""
        return f"the load generator, a process of its own, took {self.share:.0%} of one core"


def apart(load: Callable[..., Coroutine[Any, Any, T]], *args: Any, timeout: float) -> Load[T]:
    """Run a function of a module, with arguments that can be pickled. Raises TimeoutError after `timeout` seconds."""
    # Forked, it would share what this process has open.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, load, args, timeout).result(timeout + 10)


def _run(load: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...], timeout: float) -> Load[T]:
    started_at = time.monotonic()
    before = _cpu_seconds()
    result = asyncio.run(asyncio.wait_for(load(*args), timeout))
    return Load(result, (_cpu_seconds() - before) / (time.monotonic() - started_at))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
