"""Free loopback ports, remembered in the home so that a restart keeps its addresses."""

import json
import socket
from pathlib import Path

from app.stack.errors import PortTakenError
from app.stack.private import read_json, write_private

HOST = "127.0.0.1"
FILE_NAME = "ports.json"


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # as the servers do: a port whose old connections linger in TIME_WAIT is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Ports:
    """The ports of one home, by the name of what listens there."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE_NAME
        self._chosen: dict[str, int] = {}

    def choose(self, name: str, wanted: int = 0, option: str = "") -> int:
        """`wanted`, or for 0 the remembered port if it is still free, else a new one. Raises PortTakenError."""
        if wanted and not is_free(wanted):
            raise PortTakenError(
                f"port {wanted} ({name}) is taken by another process: choose another with {option} PORT, "
                f"or let simmer find a free one with {option} 0"
            )
        port = wanted or self._remembered(name) or self._new()
        self._chosen[name] = port
        if not wanted:
            self._remember(name, port)
        return port

    def _remembered(self, name: str) -> int | None:
        port = read_json(self._file).get(name)
        usable = isinstance(port, int) and port not in self._chosen.values() and is_free(port)
        return port if usable else None

    def _new(self) -> int:
        while (port := free_port()) in self._chosen.values():
            pass
        return port

    def _remember(self, name: str, port: int) -> None:
        write_private(self._file, json.dumps({**read_json(self._file), name: port}, indent=2))
