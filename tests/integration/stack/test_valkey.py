"""The embedded Valkey on its real binary: private, durable, restartable."""

from pathlib import Path

import psutil
import pytest
import redis

from app.stack.valkey import EmbeddedValkey
from tests.integration.stack.specs import running
from tests.processes import free_port


def server(home: Path) -> EmbeddedValkey:
    valkey = EmbeddedValkey(home, free_port())
    valkey.prepare()
    return valkey


def client(valkey: EmbeddedValkey) -> "redis.Redis":
    return redis.Redis.from_url(valkey.url, socket_timeout=5, decode_responses=True)


def test_data_survive_a_restart_on_another_port(tmp_path: Path) -> None:
    first = server(tmp_path)
    with running(first.process()), client(first) as connection:
        connection.lpush("default", "job")
    second = server(tmp_path)
    with running(second.process()), client(second) as connection:
        assert connection.lrange("default", 0, -1) == ["job"]


def test_data_survive_a_kill(tmp_path: Path) -> None:
    first = server(tmp_path)
    with running(first.process()) as process, client(first) as connection:
        connection.lpush("default", "job")
        # everysec: what is older than a second is on disk; ask for it instead of waiting
        assert connection.waitaof(1, 0, 10_000)[0] == 1
        process.kill()
        process.wait(10)
    second = server(tmp_path)
    with running(second.process()), client(second) as connection:
        assert connection.llen("default") == 1


def test_it_listens_on_loopback_alone_and_asks_for_the_password(tmp_path: Path) -> None:
    valkey = server(tmp_path)
    with running(valkey.process()) as process:
        listening = {c.laddr for c in process.net_connections("all") if c.status == psutil.CONN_LISTEN}
        assert listening == {("127.0.0.1", valkey.port)}
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=valkey.port, socket_timeout=5).ping()


def test_the_password_is_private_and_not_in_the_command_line(tmp_path: Path) -> None:
    valkey = server(tmp_path)
    password = (tmp_path / "valkey" / "password").read_text()
    for name in ("password", "valkey.conf"):
        assert (tmp_path / "valkey" / name).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "valkey").stat().st_mode & 0o777 == 0o700
    with running(valkey.process()) as process:
        assert password not in " ".join(process.cmdline())


def test_two_homes_do_not_share_a_password(tmp_path: Path) -> None:
    one, other = server(tmp_path / "one"), server(tmp_path / "other")
    with running(one.process()), running(other.process()):
        assert one.ready()
        assert not EmbeddedValkey(tmp_path / "one", other.port).ready()


def test_a_home_with_blanks_and_quotes_in_its_path(tmp_path: Path) -> None:
    home = tmp_path / 'my "home" \\ here'
    valkey = server(home)
    with running(valkey.process()), client(valkey) as connection:
        connection.set("key", "value")
    assert any((home / "valkey" / "appendonlydir").iterdir())


def test_destroy_deletes_the_data(tmp_path: Path) -> None:
    valkey = server(tmp_path)
    valkey.destroy()
    assert not (tmp_path / "valkey").exists()
    assert not valkey.ready()
