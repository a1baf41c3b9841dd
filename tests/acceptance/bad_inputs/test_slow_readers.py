"""Clients that ask for much and read nothing: they are let go in time, with all that was kept for them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.bad_inputs.conftest import running
from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI
from tests.acceptance.bad_inputs.raw import Connection
from tests.acceptance.bad_inputs.site import Site
from tests.processes import wait_until

PATIENCE = 30.0
LARGE = 9 * 2**20
"""More than the kernels of both sides keep for a reader: 4 MiB on the one, and what READER_BUFFER says on the other."""
READER_BUFFER = 65_536
TCP_CLOSE = 7
"""What `TCP_INFO` says of a connection that was reset. One that is merely closed still offers what was not read."""


@pytest.fixture(scope="module")
def hasty(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, quiet_valkey: str, named_models: Path
) -> Iterator[Site]:
    """An API that gives two seconds where it usually gives 75."""
    folder = tmp_path_factory.mktemp("hasty-readers")
    settings = {"GUNICORN_CMD_ARGS": "--keep-alive 2"}
    with running(folder, postgres, quiet_valkey, named_models, **settings) as made:
        yield made


def never_read(site: Site, data: bytes) -> Connection:
    """A connection on which this was asked, and whose kernel keeps little of the answer."""
    connection = Connection(site.url)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READER_BUFFER)
    connection.send(data)
    return connection


def reset(connection: Connection) -> bool:
    return connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE


def test_a_reply_that_nobody_reads(hasty: Site) -> None:
    job_id = hasty.create(OPENAI, input=[OPENAI.message("user", "a" * LARGE)])
    asked = hasty.request("GET", f"{OPENAI.path}/{job_id}/input_items")
    connections = [never_read(hasty, asked) for _ in range(5)]
    try:
        wait_until(lambda: all(map(reset, connections)), PATIENCE, "all of them are reset")
    finally:
        for connection in connections:
            connection.socket.close()
    assert "Traceback" not in hasty.log.read_text()
    assert hasty.log.read_text().count("did not read its answer in time") >= len(connections)
    reply = hasty.ask("GET", f"{OPENAI.path}/{job_id}/input_items")
    assert (reply.status, len(reply.body) > LARGE) == (200, True)


@pytest.mark.parametrize("background", [True, False])
def test_a_stream_that_nobody_reads(hasty: Site, background: bool) -> None:
    """It ends, and takes the job with it as a reader who leaves does."""
    key = hasty.new_key()
    body = OPENAI.body(stream=True, background=background, instructions="a" * LARGE)
    connection = never_read(hasty, hasty.request("POST", OPENAI.path, body, key=key))
    try:
        wait_until(lambda: reset(connection), PATIENCE, "it is reset")
    finally:
        connection.socket.close()

    def status() -> str:
        (job,) = hasty.ask("GET", FREDDY.path, key=key).json["data"]
        return str(job["status"])

    expected = "queued" if background else "cancelled"
    wait_until(lambda: status() == expected, PATIENCE, f"the job is {expected}")
