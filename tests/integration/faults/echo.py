"""A server that sends back what it gets, and remembers how each of its connections ended."""

import socket
import threading
from types import TracebackType
from typing import Self

_TIMEOUT = 30.0


class EchoServer:
    """A context manager. `greedy=False` accepts connections and then reads nothing from them."""

    def __init__(self, port: int = 0, *, greedy: bool = True) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self.received = b""
        self.ends: list[str] = []
        """`closed` or `reset`, in the order in which connections ended."""
        self.connections: list[socket.socket] = []
        self._greedy = greedy

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(_TIMEOUT)
            self.connections.append(connection)
            if self._greedy:
                threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(2**16):
                self.received += data if len(self.received) < 2**16 else b""
                connection.sendall(data)
            self.ends.append("closed")
            connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            self.ends.append("reset")
        except OSError:
            return  # closed at the end of the test
