"""One connection through the proxy: what the rules do to its replies, and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from tests.faults.pipes import End, Pipe, Rules, Side


@dataclass(slots=True)
class Counters:
    """What went through since the start."""

    connections: int = 0
    open: int = 0
    to_server: int = 0
    to_client: int = 0
    swallowed: int = 0
    """Replies that `swallow_next_reply` took."""


@dataclass(slots=True)
class Control:
    """What all links of one proxy share. Touched in its event loop alone."""

    rules: Rules
    counters: Counters
    links: "set[Link]"


Connect = Callable[[Callable[[], Side]], Awaitable[object]]
"""Connects to the server; the side that the given function returns becomes the connection's protocol."""


class Link:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, control: Control, connect: Connect) -> None:
        self.client = Side(self._from_client, self._open)
        self.server = Side(self._from_server)
        self._requests = Pipe(lambda: control.rules, self.client, self.server, self._to_server)
        self._replies = Pipe(lambda: control.rules, self.server, self.client, self._to_client)
        self._control = control
        self._connect = connect
        self._connecting: asyncio.Task[None] | None = None
        self._tail = b""
        self._trapped = False
        self._has_hole = False
        self._left: int | None = None
        self._ends = 0
        self._closed = False

    def _open(self) -> None:
        """The client has come."""
        self._control.counters.connections += 1
        self._control.counters.open += 1
        self._control.links.add(self)
        self.apply()

    def apply(self) -> None:
        """Obey rules that have changed."""
        rules = self._control.rules
        if rules.refused or (self._has_hole and not rules.deaf):
            # Bytes that TCP has promised are missing: what comes next would be read as something else.
            self.reset()
            return
        self._trapped, self._left, self._tail = False, rules.cut, b""
        if not self._connecting and not rules.held:
            self._connecting = asyncio.create_task(self._reach_server())
        self._requests.pump()
        self._replies.pump()

    def reset(self) -> None:
        """End both connections at once, as a router does that forgot them."""
        if self._forget():
            self.client.reset()
            self.server.reset()

    async def _reach_server(self) -> None:
        try:
            await self._connect(lambda: self.server)
        except (OSError, TimeoutError):
            self.reset()
            return
        if self._closed:
            self.server.reset()
        self._requests.pump()

    def _from_client(self, item: bytes | End) -> None:
        if not self._closed:
            self._requests.feed(item)

    def _from_server(self, item: bytes | End) -> None:
        if not self._closed:
            self._replies.feed(item)

    def _to_server(self, item: bytes | End) -> None:
        if isinstance(item, bytes):
            self._control.counters.to_server += len(item)
            self._watch(item)
        self._forward(item, self.server)

    def _to_client(self, item: bytes | End) -> None:
        if self._trapped:
            self._control.counters.swallowed += isinstance(item, bytes)
            self.reset()
            return
        if self._control.rules.deaf:
            self._has_hole = True
            return
        if isinstance(item, bytes):
            item = item[: self._left]
            self._control.counters.to_client += len(item)
        self._forward(item, self.client)
        if self._left is not None and isinstance(item, bytes):
            self._left -= len(item)
            if not self._left:
                self.reset()

    def _forward(self, item: bytes | End, to: Side) -> None:
        if item is End.RESET:
            self.reset()
            return
        to.write(item)
        if item is End.CLOSED:
            self._ends += 1
            if self._ends == 2 and self._forget():
                self.client.close()
                self.server.close()

    def _watch(self, data: bytes) -> None:
        """Look for the request whose reply is to be swallowed; it may come in several pieces."""
        trap = self._control.rules.trap
        if trap is None:
            return
        seen = self._tail + data
        if trap in seen:
            self._trapped = True
            self._control.rules = replace(self._control.rules, trap=None)
        self._tail = seen[len(seen) - len(trap) + 1 :]

    def _forget(self) -> bool:
        """Whether this was the first to end it."""
        if self._closed:
            return False
        self._closed = True
        self._requests.close()
        self._replies.close()
        self._control.links.discard(self)
        self._control.counters.open -= 1
        return True
