"""How an API process takes in connections: soon, and no more than its share."""

from typing import Any

import gevent
from gevent.server import StreamServer

ACCEPTS = 64
"""Connections that a process takes in at once at most."""
TURN = 0.002
"""Seconds for which the next connections are left to other processes."""


class Server(StreamServer):  # type: ignore[misc]  # gevent has no types
    """Takes in one connection, and leaves what comes next to the other processes for a TURN. As long as there are more
    afterwards than anybody took, it takes twice as many each time, up to ACCEPTS.

    With one in each round of the loop, as gunicorn has it, a busy process lets new clients wait for seconds before it
    can even refuse them. With many, or without turns, the process that is awake takes a client's whole pool, and the
    others idle for as long as the client keeps it.
    """

    max_accept = 1
    _waits = False

    def do_read(self) -> Any:
        """One connection, or None if there is none."""
        accepted = super().do_read()
        self.max_accept = min(ACCEPTS, self.max_accept + 1) if accepted else 1
        if accepted and not self._waits:
            self._waits = True
            self.stop_accepting()
            gevent.spawn_later(TURN, self._go_on)
        return accepted

    def _go_on(self) -> None:
        self._waits = False
        # It may have been closed meanwhile.
        if self.started:
            self.start_accepting()
