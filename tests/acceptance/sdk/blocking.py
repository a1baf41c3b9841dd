"""An SDK's asynchronous client behind the calls of its synchronous one, so that one test drives both."""

import asyncio
import inspect
from collections.abc import Awaitable, Iterator
from types import TracebackType
from typing import Any, Self

_RESOURCES = ("openai.resources", "freddy.responses", "aitronos.responses")
"""Where the SDKs keep the objects whose methods are the API's."""


class Blocking:
    """Stands for an asynchronous object: awaits what it returns, iterates where it must be iterated asynchronously."""

    def __init__(self, runner: asyncio.Runner, target: Any) -> None:
        self._runner = runner
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return self._wrapped(getattr(self._target, name))

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._wrapped(self._target(*args, **options))

    def __iter__(self) -> Iterator[Any]:
        items = aiter(self._target)
        while True:
            try:
                yield self._run(anext(items))
            except StopAsyncIteration:
                return

    def __enter__(self) -> Self:
        return self._wrapped(self._target.__aenter__())  # type: ignore[no-any-return]  # the same for whoever enters

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._target.__aexit__(kind, error, trace))

    def _wrapped(self, value: Any) -> Any:
        if inspect.isawaitable(value):
            value = self._run(value)
        asynchronous = any(hasattr(value, name) for name in ("__aiter__", "__aenter__"))
        resource = type(value).__module__.startswith(_RESOURCES)
        return Blocking(self._runner, value) if callable(value) or asynchronous or resource else value

    def _run(self, awaitable: Awaitable[Any]) -> Any:
        return self._runner.run(_result(awaitable))


async def _result(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
