"""How many connections a process takes in at once, so that a client's pool spreads over all processes."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import gevent
import pytest

from app.api import accepting
from app.api.accepting import ACCEPTS, Server
from tests.processes import wait_until

DEADLINE = 10.0


class Crowd:
    """Clients who come to one address, and the servers that take them in there."""

    def __init__(self, held: ExitStack) -> None:
        self._held = held
        self._listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4 * ACCEPTS))
        self._listener.setblocking(False)

    def come(self, number: int) -> None:
        for _ in range(number):
            self._held.enter_context(socket.create_connection(self._listener.getsockname()))
        wait_until(lambda: self._waiting() == number, DEADLINE, "all are in the kernel's queue")

    def _waiting(self) -> int:
        # Of a socket that listens, tcpi_unacked is the length of its queue.
        info = self._listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        length: int = struct.unpack_from("I", info, 24)[0]
        return length

    @contextmanager
    def served(self) -> Iterator[list[socket.socket]]:
        """What one server has taken in, while it runs."""
        taken: list[socket.socket] = []
        server = Server(self._listener.dup(), handle=lambda connection, _: taken.append(connection), spawn=None)
        server.start()
        with closing(server):
            yield taken

    def server(self) -> Server:
        """One that does not run."""
        return Server(self._listener, handle=lambda *_: None)

    def rounds(self, server: Server, number: int) -> list[int]:
        """How many it takes in each time that it looks."""
        return [self._round(server) for _ in range(number)]

    def _round(self, server: Server) -> int:
        taken = [accepted for _ in range(server.max_accept) if (accepted := server.do_read())]
        for connection, _ in taken:
            self._held.enter_context(closing(connection))
        return len(taken)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with ExitStack() as held:
        yield Crowd(held)


def test_it_takes_in_one_and_more_only_as_long_as_there_are_more(crowd: Crowd) -> None:
    server = crowd.server()
    for _ in range(2):
        crowd.come(12)
        assert crowd.rounds(server, 6) == [1, 2, 4, 5, 0, 0]


def test_a_crowd_does_not_keep_it_from_all_else(crowd: Crowd) -> None:
    crowd.come(3 * ACCEPTS)
    assert crowd.rounds(crowd.server(), 9) == [1, 2, 4, 8, 16, 32, ACCEPTS, ACCEPTS, 1]


def test_who_took_one_leaves_the_next_to_others(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "TURN", DEADLINE)
    with crowd.served() as one, crowd.served() as other, gevent.Timeout(DEADLINE):
        crowd.come(10)
        while not (one and other):
            gevent.sleep(0.001)
        for _ in range(10):  # the loop goes round
            gevent.sleep(0.001)
        assert (len(one), len(other)) == (1, 1)


def test_it_goes_on_after_its_turn(crowd: Crowd) -> None:
    with crowd.served() as taken, gevent.Timeout(DEADLINE):
        for number in range(1, 4):
            crowd.come(1)
            while len(taken) < number:
                gevent.sleep(0.001)
