"""The doorbell on a real Valkey: whoever listens is told, in whichever process, over one connection."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from redis import Redis

from app.adapters import doorbell as module
from app.adapters.doorbell import RedisBell, RedisDoorbell, channel
from app.adapters.events import RedisEventLog
from app.domain.ids import new_id
from app.domain.ports import NOTHING, OUTPUT, STATE
from tests.embedded import Server
from tests.processes import free_port, wait_until

DEADLINE = 20.0
NOW = 0.0
Process = Callable[[str], RedisDoorbell]
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def quick_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECONNECT", 0.05)


@pytest.fixture
def ringing(process: Process, broker_url: str) -> RedisDoorbell:
    """One process, which rings."""
    return process(broker_url)


@pytest.fixture
def listening(process: Process, broker_url: str) -> RedisDoorbell:
    """Another process, whose clients listen; connected."""
    doorbell = process(broker_url)
    connect(doorbell)
    return doorbell


@pytest.fixture
def job_id() -> UUID:
    return new_id()


def connect(doorbell: RedisDoorbell) -> None:
    """The first that listens does not wait for the connection, and is rung for it."""
    with doorbell.listen(new_id()) as bell:
        assert bell.wait(DEADLINE) == STATE


def subscribers(client: Redis) -> list[dict[str, str]]:
    """The server's connections that subscribe to doorbells. Other tests' databases are on it, too."""
    clients: Any = client.client_list()
    database = str(client.connection_pool.connection_kwargs["db"])
    return [each for each in clients if each["db"] == database and each["sub"] != "0"]


def channels(client: Redis) -> set[bytes]:
    found: Any = client.pubsub_channels("simmer:bell:*")
    return set(found)


def test_a_ring_reaches_every_listener_of_the_job_in_another_process(
    ringing: RedisDoorbell, listening: RedisDoorbell, job_id: UUID
) -> None:
    other = new_id()
    with listening.listen(job_id) as first, listening.listen(job_id) as second, listening.listen(other) as another:
        ringing.ring([job_id])
        assert (first.wait(DEADLINE), second.wait(DEADLINE)) == (STATE, STATE)
        assert another.wait(NOW) == NOTHING
        ringing.ring([job_id, other])
        assert {bell.wait(DEADLINE) for bell in (first, second, another)} == {STATE}


def test_new_output_rings_as_output(
    ringing: RedisDoorbell, listening: RedisDoorbell, client: Redis, job_id: UUID
) -> None:
    log = RedisEventLog(client)
    with listening.listen(job_id) as bell:
        log.append([(job_id, 0, [b"{}"])])
        assert bell.wait(DEADLINE) == OUTPUT
        ringing.ring([job_id])
        assert bell.wait(DEADLINE) == STATE


def test_a_change_of_state_is_not_hidden_by_output() -> None:
    bell = RedisBell()
    for rings in ((STATE, OUTPUT), (OUTPUT, STATE), (STATE,), (OUTPUT, STATE, OUTPUT)):
        for what in rings:
            bell.ring(what)
        assert (bell.wait(DEADLINE), bell.wait(NOW)) == (STATE, NOTHING)


def test_nothing_rings_when_nothing_happened(listening: RedisDoorbell, job_id: UUID) -> None:
    with listening.listen(job_id) as bell:
        assert (bell.wait(0.2), bell.wait(NOW)) == (NOTHING, NOTHING)


def test_a_process_rings_for_itself(listening: RedisDoorbell, job_id: UUID) -> None:
    with listening.listen(job_id) as bell:
        assert listening.listened() == [job_id]
        listening.ring_here(job_id)
        assert bell.wait(DEADLINE) == STATE
    listening.ring_here(job_id)
    assert listening.listened() == []


def test_a_thousand_listeners_need_one_connection(
    ringing: RedisDoorbell, listening: RedisDoorbell, client: Redis
) -> None:
    job_ids = [new_id() for _ in range(1000)]
    with ExitStack() as stack:
        bells = [stack.enter_context(listening.listen(job_id)) for job_id in job_ids]
        assert [each["sub"] for each in subscribers(client)] == ["1000"]
        ringing.ring(job_ids)
        assert {bell.wait(DEADLINE) for bell in bells} == {STATE}


def test_what_rings_right_after_listening_began_is_heard(ringing: RedisDoorbell, listening: RedisDoorbell) -> None:
    for _ in range(500):
        job_id = new_id()
        with listening.listen(job_id) as bell:
            ringing.ring([job_id])
            assert bell.wait(DEADLINE) == STATE


def test_a_job_that_is_listened_to_again_and_again_is_heard_each_time(
    ringing: RedisDoorbell, listening: RedisDoorbell, job_id: UUID
) -> None:
    for _ in range(300):
        with listening.listen(job_id) as bell:
            ringing.ring([job_id])
            assert bell.wait(DEADLINE) == STATE


@pytest.mark.parametrize("patience", [DEADLINE, 0.05])
def test_a_slow_way_to_the_broker_loses_no_ring(
    ringing: RedisDoorbell, listening: RedisDoorbell, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    """Listening begins when the subscription is confirmed; who did not wait for that is rung to look."""
    monkeypatch.setattr(module, "TIMEOUT", patience)
    connection: Any = listening._connection
    send = connection.send_command

    def send_later(*command: str, **options: Any) -> None:
        threading.Timer(0.2, send, command, options).start()

    monkeypatch.setattr(connection, "send_command", send_later)
    with listening.listen(job_id := new_id()) as bell:
        ringing.ring([job_id])
        assert bell.wait(DEADLINE) == STATE


def test_the_very_first_that_listens_misses_nothing(
    ringing: RedisDoorbell, process: Process, broker_url: str, job_id: UUID
) -> None:
    for _ in range(20):
        with process(broker_url).listen(job_id) as bell:
            ringing.ring([job_id])
            assert bell.wait(DEADLINE) == STATE


def test_the_last_that_leaves_ends_the_subscription(listening: RedisDoorbell, client: Redis, job_id: UUID) -> None:
    here = channel(job_id).encode()
    with listening.listen(job_id):
        with listening.listen(job_id):
            assert here in channels(client)
        with listening.listen(new_id()):
            assert here in channels(client)
    wait_until(lambda: here not in channels(client), DEADLINE, "the end of the subscription")


def test_a_connection_that_broke_is_replaced_and_whoever_listened_looks(
    ringing: RedisDoorbell, listening: RedisDoorbell, client: Redis, job_id: UUID
) -> None:
    other = new_id()
    with listening.listen(job_id) as first, listening.listen(job_id) as second, listening.listen(other) as third:
        for _ in range(3):
            [broken] = subscribers(client)
            client.client_kill_filter(_id=broken["id"])
            assert {bell.wait(DEADLINE) for bell in (first, second, third)} == {STATE}
            ringing.ring([other])
            assert (third.wait(DEADLINE), first.wait(NOW)) == (STATE, NOTHING)


def test_after_a_restart_of_the_broker_rings_are_heard_again(
    own_valkey: Server, process: Process, job_id: UUID
) -> None:
    ringing, listening = process(own_valkey.url), process(own_valkey.url)
    connect(listening)
    with listening.listen(job_id) as bell:
        own_valkey.kill()
        with listening.listen(job_id) as during:
            own_valkey.start()
            assert (bell.wait(DEADLINE), during.wait(DEADLINE)) == (STATE, STATE)
            ringing.ring([job_id])
            assert bell.wait(DEADLINE) == STATE


def test_a_frozen_broker_is_given_up_and_asked_again(
    own_valkey: Server, process: Process, job_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.2)
    doorbell = process(own_valkey.url)
    connect(doorbell)
    with doorbell.listen(job_id) as bell:
        own_valkey.process.freeze()
        wait_until(lambda: doorbell._connection is None, DEADLINE, "the connection is given up")
        own_valkey.process.resume()
        assert bell.wait(DEADLINE) == STATE


def test_a_silent_connection_that_answers_is_kept(
    listening: RedisDoorbell, client: Redis, job_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.05)
    with listening.listen(job_id) as bell:
        [before] = subscribers(client)
        assert bell.wait(1.0) == NOTHING
        assert [each["id"] for each in subscribers(client)] == [before["id"]]


def test_a_process_that_slept_sends_nothing_of_its_own_into_the_subscription(
    ringing: RedisDoorbell, listening: RedisDoorbell, job_id: UUID
) -> None:
    """The client library would check a connection that it has not used for long, and read the answer itself."""
    connection: Any = listening._connection
    connection.next_health_check = 0
    with listening.listen(job_id) as bell:
        ringing.ring([job_id])
        assert bell.wait(DEADLINE) == STATE
    assert listening._connection is connection


def test_a_broker_that_is_down_keeps_nobody_from_listening(
    process: Process, job_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    doorbell = process(f"redis://127.0.0.1:{free_port()}/0")
    for _ in range(100):
        doorbell.ring([job_id])
    assert caplog.text.count("broker unavailable") == 1
    with doorbell.listen(job_id) as bell:
        assert doorbell.listened() == [job_id]
        assert bell.wait(NOW) == NOTHING
        doorbell.ring_here(job_id)
        assert bell.wait(DEADLINE) == STATE


def test_it_works_on_greenlets(broker_url: str) -> None:
    script = Path(__file__).parent / "gevent_doorbell.py"
    done = subprocess.run(
        [sys.executable, script, broker_url],
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("1000", 0), done.stderr


def test_an_outage_is_told_once(
    process: Process, job_id: UUID, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    doorbell = process(f"redis://127.0.0.1:{free_port()}/0")
    tries: list[None] = []
    read = RedisDoorbell._read_until_broken

    def counted(self: RedisDoorbell) -> None:
        tries.append(None)
        read(self)

    monkeypatch.setattr(RedisDoorbell, "_read_until_broken", counted)
    with doorbell.listen(job_id):
        wait_until(lambda: len(tries) > 3, DEADLINE, "several tries to connect")
    assert caplog.text.count("no news from the broker") == 1
