"""The proxy of the fault harness in front of the real database and the real broker."""

from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from tests.faults.proxy import Proxy
from tests.processes import wait_until

PATIENCE = 15.0


def proxy_to(url: str) -> Proxy:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return Proxy(parts.hostname, parts.port)


def through(proxy: Proxy, url: str) -> str:
    return url.replace(f":{urlsplit(url).port}/", f":{proxy.port}/")


def test_a_commit_whose_reply_is_swallowed_is_a_commit(empty_database_url: str) -> None:
    url = empty_database_url.replace("+psycopg", "")
    with proxy_to(url) as proxy, psycopg.connect(url, autocommit=True) as database:
        database.execute("CREATE TABLE seen (n int)")
        unlucky = psycopg.connect(through(proxy, url))
        unlucky.execute("INSERT INTO seen VALUES (1)")
        proxy.swallow_next_reply(b"COMMIT")
        with pytest.raises(psycopg.OperationalError):
            unlucky.commit()
        assert database.execute("SELECT n FROM seen").fetchall() == [(1,)]


def test_a_broker_behind_a_half_open_link_does_not_answer(broker_url: str) -> None:
    with proxy_to(broker_url) as proxy:
        broker = redis.Redis.from_url(through(proxy, broker_url), socket_timeout=0.2, retry=None)
        broker.set("held", "before")
        proxy.half_open()
        with pytest.raises(redis.exceptions.TimeoutError):
            broker.get("held")
        proxy.pass_through()
        assert wait_until(lambda: broker.get("held"), PATIENCE, "the broker answers again") == b"before"
        broker.close()
