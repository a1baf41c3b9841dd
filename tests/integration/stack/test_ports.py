"""Ports: free, remembered, and refused with the way out."""

import socket
from pathlib import Path

import pytest

from app.stack.errors import PortTakenError
from app.stack.ports import Ports, free_port, is_free


def test_a_home_keeps_its_ports(tmp_path: Path) -> None:
    first = Ports(tmp_path)
    chosen = [first.choose(name) for name in ("postgres", "valkey", "model")]
    assert len(set(chosen)) == 3
    again = Ports(tmp_path)
    assert [again.choose(name) for name in ("postgres", "valkey", "model")] == chosen


def test_a_remembered_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    port = Ports(tmp_path).choose("postgres")
    with socket.create_server(("127.0.0.1", port)):
        replaced = Ports(tmp_path).choose("postgres")
    assert replaced != port
    assert Ports(tmp_path).choose("postgres") == replaced


def test_a_taken_port_that_was_asked_for_is_refused_with_the_option_to_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"port {port} .*--flower-port 0"):
            Ports(tmp_path).choose("flower", port, "--flower-port")


def test_a_port_that_was_asked_for_is_not_remembered(tmp_path: Path) -> None:
    wanted = free_port()
    assert Ports(tmp_path).choose("api", wanted, "--port") == wanted
    assert not (tmp_path / "ports.json").exists()


def test_two_names_never_get_one_port(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text(f'{{"api": {(port := free_port())}, "flower": {port}}}')
    ports = Ports(tmp_path)
    assert ports.choose("api") == port
    assert ports.choose("flower") != port


def test_a_listener_on_all_addresses_counts_as_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        assert not is_free(taken.getsockname()[1])


def test_lingering_connections_do_not_count(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            # this side closes first, so that it is the one in TIME_WAIT
            accepted.close()
    assert is_free(port)
