"""A TCP proxy between two parts of a deployment, whose link can be slowed, held, deafened and cut."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from tests.faults.links import Control, Counters, Link
from tests.faults.pipes import Rules, Side

_CONNECT_TIMEOUT = 10.0
_TURN_TIMEOUT = 30.0
_BACKLOG = 1_000
_PUT_OFF = 8
"""Rounds of the loop after which a connection just accepted has become a link, and a reset has reached the network."""
T = TypeVar("T")


class Proxy:
    """Listens on `port` and passes everything on to the target; a context manager.

    It runs in a thread of its own. The controls may be called from any thread, hold for all connections, those that
    are open too, and have taken effect when they return. Each replaces the one before.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.port = 0
        self._target = target_host, target_port
        self._control = Control(Rules(), Counters(), set())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._up = threading.Event()
        self._down: asyncio.Event | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"proxy to {target_port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._up.wait(_TURN_TIMEOUT) or self._error:
            raise RuntimeError("The proxy does not listen.") from self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Reset what is open, and stop listening."""
        assert self._loop
        assert self._down
        self._loop.call_soon_threadsafe(self._down.set)
        self._thread.join(_TURN_TIMEOUT)

    @property
    def counters(self) -> Counters:
        """A copy, as they are now."""
        return self._turn(lambda: replace(self._control.counters))

    def pass_through(self) -> None:
        """Everything goes at once, what was held first. Connections that have lost replies are reset."""
        self._set(Rules())

    def delay(self, seconds: float) -> None:
        """Everything takes `seconds` longer, in each direction."""
        self._set(Rules(delay=seconds))

    def reset(self) -> None:
        """All connections are reset, and new ones as they come."""
        self._set(Rules(refused=True))

    def half_open(self) -> None:
        """Nothing goes in either direction, not even an end, and new connections get no further than the proxy."""
        self._set(Rules(held=True))

    def swallow_replies(self) -> None:
        """Requests go through, and nothing comes back."""
        self._set(Rules(deaf=True))

    def swallow_next_reply(self, match: bytes | None = None) -> None:
        """The next request that holds `match` (None: any) goes through; when the server answers it, the answer is
        dropped and the connection reset. Once: `counters.swallowed` tells whether it has happened.
        """
        self._set(Rules(trap=match or b""))

    def cut_after(self, size: int) -> None:
        """Each connection is reset after `size` more bytes of reply."""
        self._set(Rules(cut=size))

    def throttle(self, rate: float) -> None:
        """Each direction of each connection carries `rate` bytes a second."""
        self._set(Rules(rate=rate))

    def _set(self, rules: Rules) -> None:
        self._turn(lambda: self._obey(rules))

    def _obey(self, rules: Rules) -> None:
        self._control.rules = rules
        for link in list(self._control.links):
            link.apply()

    def _turn(self, act: Callable[[], T]) -> T:
        """Let the proxy's loop call it, and wait for that."""
        assert self._loop, "the proxy is not started"
        return asyncio.run_coroutine_threadsafe(_settled(act), self._loop).result(_TURN_TIMEOUT)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error
        finally:
            self._up.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._down = asyncio.Event()
        server = await self._loop.create_server(self._accept, "127.0.0.1", 0, backlog=_BACKLOG)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._down.wait()
        # What waits to be accepted is reset too, before nobody listens.
        await _settled(lambda: self._obey(Rules(refused=True)))
        server.close()

    def _accept(self) -> Side:
        return Link(self._control, self._connect).client

    async def _connect(self, side: Callable[[], Side]) -> None:
        assert self._loop
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            await self._loop.create_connection(side, *self._target)


async def _settled(act: Callable[[], T]) -> T:
    """Call it, and let the loop do what it has put off, such as closing sockets."""
    result = act()
    for _ in range(_PUT_OFF):
        await asyncio.sleep(0)
    return result
