"""The running jobs' event logs in a real Valkey: in order, without gaps, each event once; and never in the way."""

import threading
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from app.adapters.events import AFTERLIFE, LIFETIME, RedisEventLog
from app.adapters.redis_client import redis_client
from app.domain.events import PAGE
from app.domain.ids import new_id
from app.settings import Settings
from tests.embedded import Server
from tests.processes import free_port, wait_until

DEADLINE = 20.0
EVENTS = [f'{{"n":{number}}}'.encode() for number in range(10)]


@pytest.fixture
def log(client: Redis) -> RedisEventLog:
    return RedisEventLog(client)


@pytest.fixture
def job_id() -> UUID:
    return new_id()


@pytest.fixture
def down() -> RedisEventLog:
    """Where nothing listens."""
    return RedisEventLog(redis_client(Settings(broker_url=f"redis://127.0.0.1:{free_port()}/0")))


def read(log: RedisEventLog, job_id: UUID, start: int = 0) -> list[bytes]:
    """What a reader makes of it: the pages one after the other."""
    found: list[tuple[int, bytes]] = []
    while page := log.read(job_id, start + len(found)):
        found += page
    assert [index for index, _ in found] == list(range(start, start + len(found)))
    return [event for _, event in found]


def time_to_live(client: Redis) -> list[int]:
    return [int(client.ttl(key)) for key in client.scan_iter()]


def test_what_was_appended_is_read_from_any_index_on(log: RedisEventLog, job_id: UUID) -> None:
    assert log.append([(job_id, 0, EVENTS[:4])]) == {job_id: 4}
    assert log.append([(job_id, 4, EVENTS[4:])]) == {job_id: 10}
    assert [read(log, job_id, start) for start in range(12)] == [EVENTS[start:] for start in range(12)]


def test_a_job_without_a_log_has_no_events(log: RedisEventLog, job_id: UUID) -> None:
    assert (log.read(job_id, 0), log.close(job_id), log.read(job_id, 0)) == ([], [], [])


def test_many_logs_are_appended_to_at_once(log: RedisEventLog) -> None:
    job_ids = [new_id() for _ in range(50)]
    held = log.append([(job_id, 0, EVENTS[: n % 10]) for n, job_id in enumerate(job_ids)])
    assert held == {job_id: n % 10 for n, job_id in enumerate(job_ids)}
    assert [read(log, job_id) for job_id in job_ids] == [EVENTS[: n % 10] for n in range(50)]


def test_events_that_were_sent_already_are_not_added_again(log: RedisEventLog, job_id: UUID) -> None:
    """The broker took them, and its answer was lost."""
    log.append([(job_id, 0, EVENTS[:4])])
    assert log.append([(job_id, 0, EVENTS[:4])]) == {job_id: 4}
    assert log.append([(job_id, 2, EVENTS[2:6])]) == {job_id: 4}
    assert read(log, job_id) == EVENTS[:4]


def test_nothing_is_added_after_a_gap_and_the_answer_tells_where_to_go_on(
    log: RedisEventLog, client: Redis, job_id: UUID
) -> None:
    log.append([(job_id, 0, EVENTS[:4])])
    client.flushdb()
    assert log.append([(job_id, 4, EVENTS[4:6])]) == {job_id: 0}
    assert log.read(job_id, 0) == []
    assert log.append([(job_id, 0, EVENTS[:6])]) == {job_id: 6}
    assert read(log, job_id) == EVENTS[:6]


@given(st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_way_of_sending_gives_the_same_log(log: RedisEventLog, client: Redis, data: st.DataObject) -> None:
    """Answers get lost, the broker forgets everything, an older batch comes late: what is there is a beginning."""
    job_id, held = new_id(), 0
    for _ in range(data.draw(st.integers(1, 12))):
        match data.draw(st.sampled_from(["send", "send", "send late", "flush"])):
            case "send":
                held = log.append([(job_id, held, EVENTS[held : data.draw(st.integers(held, 10))])])[job_id]
            case "send late":
                start = data.draw(st.integers(0, 10))
                log.append([(job_id, start, EVENTS[start : data.draw(st.integers(start, 10))])])
            case "flush":
                client.flushdb()
        found = read(log, job_id)
        assert found == EVENTS[: len(found)]


def test_more_events_than_a_page_has_are_read_and_closed_whole(log: RedisEventLog, job_id: UUID) -> None:
    events = [b'{"n":%d}' % number for number in range(2 * PAGE + 7)]
    assert log.append([(job_id, 0, events)]) == {job_id: len(events)}
    assert len(log.read(job_id, 0)) == PAGE
    assert read(log, job_id) == events
    assert read(log, job_id, PAGE - 1) == events[PAGE - 1 :]
    assert log.close(job_id) == events


def test_a_closed_log_takes_nothing_more(log: RedisEventLog, job_id: UUID) -> None:
    log.append([(job_id, 0, EVENTS[:4])])
    assert log.close(job_id) == EVENTS[:4]
    assert log.append([(job_id, 4, EVENTS[4:])]) == {}
    assert (read(log, job_id), log.close(job_id)) == (EVENTS[:4], EVENTS[:4])


def test_a_log_that_is_closed_before_its_first_event_stays_empty(log: RedisEventLog, job_id: UUID) -> None:
    assert log.close(job_id) == []
    assert log.append([(job_id, 0, EVENTS)]) == {}
    assert (log.read(job_id, 0), log.close(job_id)) == ([], [])


def test_a_closed_log_does_not_keep_the_others_of_its_batch(log: RedisEventLog, job_id: UUID) -> None:
    other = new_id()
    log.close(job_id)
    assert log.append([(job_id, 0, EVENTS), (other, 0, EVENTS)]) == {other: 10}


def test_what_a_close_returns_is_what_any_reader_will_ever_have_seen(log: RedisEventLog, job_id: UUID) -> None:
    seen: list[int] = []
    closed: list[int] = []

    def write() -> None:
        for number in range(10_000):
            if not log.append([(job_id, number, [b"{}"])]):
                return
            if number == 200:
                closer.start()

    def close() -> None:
        closed.append(len(log.close(job_id)))

    writer, closer = threading.Thread(target=write), threading.Thread(target=close)
    writer.start()
    while writer.is_alive() or closer.is_alive():
        seen.append(len(log.read(job_id, 0)))
    assert len(read(log, job_id)) == closed[0] > 200
    assert max(seen) <= closed[0]


def test_two_writers_of_one_log_do_not_mix(log: RedisEventLog, job_id: UUID) -> None:
    """As when an append is repeated while the first is still on its way."""
    events = [b'{"n":%d}' % number for number in range(300)]

    def write() -> None:
        held = 0
        while held < len(events):
            held = log.append([(job_id, held, events[held : held + 1])])[job_id]

    both = [threading.Thread(target=write) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(DEADLINE)
    assert read(log, job_id) == events


def test_an_append_rings_for_its_job(log: RedisEventLog, client: Redis, job_id: UUID) -> None:
    with client.pubsub() as listener:
        listener.subscribe(f"simmer:bell:{job_id.hex}")
        wait_until(lambda: listener.get_message(timeout=0.1), DEADLINE, "the subscription")
        log.append([(job_id, 0, EVENTS)])
        message = wait_until(lambda: listener.get_message(timeout=0.1), DEADLINE, "the ring")
    assert message
    assert message["data"] == b"output"


def test_a_log_does_not_stay_for_ever(log: RedisEventLog, client: Redis, job_id: UUID) -> None:
    log.append([(job_id, 0, EVENTS[:4])])
    [alive] = time_to_live(client)
    assert 0 < alive <= LIFETIME
    log.release(job_id)
    [alive] = time_to_live(client)
    assert 0 < alive <= AFTERLIFE


@pytest.mark.parametrize("held", [0, 4])
def test_a_closed_log_goes_soon(log: RedisEventLog, client: Redis, job_id: UUID, held: int) -> None:
    log.append([(job_id, 0, EVENTS[:held])])
    log.close(job_id)
    [alive] = time_to_live(client)
    assert 0 < alive <= AFTERLIFE


def test_what_comes_late_does_not_keep_a_released_log(log: RedisEventLog, client: Redis, job_id: UUID) -> None:
    """The job ended while its last batch was on its way to the broker."""
    log.append([(job_id, 0, EVENTS[:4])])
    log.release(job_id)
    log.append([(job_id, 4, EVENTS[4:])])
    [alive] = time_to_live(client)
    assert 0 < alive <= AFTERLIFE
    assert read(log, job_id) == EVENTS[:4]


def test_a_full_broker_is_not_a_broken_one(log: RedisEventLog, own_valkey: Server, job_id: UUID) -> None:
    client = redis_client(Settings(broker_url=own_valkey.url))
    log = RedisEventLog(client)
    log.append([(job_id, 0, EVENTS[:4])])
    client.config_set("maxmemory", 1)
    assert log.append([(job_id, 4, EVENTS[4:])]) == {}
    assert read(log, job_id) == EVENTS[:4]
    client.config_set("maxmemory", 0)
    assert log.append([(job_id, 4, EVENTS[4:])]) == {job_id: 10}


def use(log: RedisEventLog, job_id: UUID) -> None:
    """Everything there is; none of it may raise."""
    assert log.append([(job_id, 0, EVENTS)]) == {}
    assert (log.read(job_id, 0), log.close(job_id)) == ([], [])
    log.release(job_id)


def test_a_broker_that_is_down_costs_nothing_but_the_events(
    down: RedisEventLog, job_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    use(down, job_id)
    assert caplog.text.count("broker unavailable") == 1


def test_a_frozen_broker_is_waited_for_once_and_used_again_when_it_is_back(
    own_valkey: Server, job_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    log = RedisEventLog(redis_client(Settings(broker_url=own_valkey.url)))
    log.append([(job_id, 0, EVENTS[:4])])
    own_valkey.process.freeze()
    for _ in range(50):
        use(log, job_id)
    # Of two hundred calls.
    assert 1 <= caplog.text.count("broker unavailable") < 10
    own_valkey.process.resume()
    wait_until(lambda: log.read(job_id, 0), DEADLINE, "the log can be read again")
    assert read(log, job_id) == EVENTS[:4]
