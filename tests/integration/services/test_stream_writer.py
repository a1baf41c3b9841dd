"""The worker's side of streams: what was published never changes, nothing is lost, and load makes events larger."""

import json
import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.events import encode, merge, pack, unpack
from app.domain.ids import new_id
from app.domain.requests import JSON
from app.services import stream_writer
from app.services.stream_writer import BATCH, StreamPublisher, StreamWriter
from tests.integration.services.event_log import MemoryEventLog
from tests.processes import wait_until

DEADLINE = 20.0
DELTA = "response.output_text.delta"


def delta(text: str, **more: Any) -> JSON:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return {"type": DELTA, **place, "delta": text, "logprobs": [], **more}


def done(text: str) -> JSON:
    return {"type": "response.output_text.done", "item_id": "msg_1", "text": text}


def decoded(events: Sequence[bytes]) -> list[Any]:
    return [json.loads(event) for event in events]


def said(events: Sequence[bytes]) -> str:
    return "".join(event.get("delta", "") for event in decoded(events))


def writer_of(*events: JSON) -> StreamWriter:
    writer = StreamWriter(new_id())
    writer.add(events)
    return writer


@pytest.fixture
def publisher(event_log: MemoryEventLog) -> StreamPublisher:
    return StreamPublisher(event_log, window=0)


def published(event_log: MemoryEventLog, writer: StreamWriter, count: int) -> list[bytes]:
    """Wait until the event log holds so many events of the job."""
    log = event_log.logs.setdefault(writer.job_id, [])
    wait_until(lambda: len(log) >= count, DEADLINE, f"{count} events")
    return log


def test_deltas_of_one_text_are_merged_until_they_are_taken() -> None:
    writer = writer_of(delta("a"), delta("b", logprobs=[{"token": "b"}]), delta("c", logprobs=[{"token": "c"}]))
    start, events = writer.take()
    assert start == 0
    assert decoded(events) == [delta("abc", logprobs=[{"token": "b"}, {"token": "c"}])]


@pytest.mark.parametrize(
    "other",
    [
        delta("b", item_id="msg_2"),
        delta("b", output_index=1),
        delta("b", content_index=1),
        delta("b", type="response.refusal.delta"),
        done("a"),
    ],
)
def test_what_belongs_to_another_text_is_another_event(other: JSON) -> None:
    _, events = writer_of(delta("a"), other, delta("c")).take()
    assert decoded(events) == [delta("a"), other, delta("c")]


def test_events_that_are_not_deltas_are_never_merged() -> None:
    _, events = writer_of(done("a"), done("a")).take()
    assert decoded(events) == [done("a"), done("a")]


def test_what_was_taken_does_not_change_any_more() -> None:
    writer = writer_of(delta("a"))
    before = list(writer.take()[1])
    writer.add([delta("b"), delta("c")])
    assert before == [encode(delta("a"))]
    assert decoded(writer.take()[1]) == [delta("a"), delta("bc")]


def test_a_delta_is_not_merged_into_what_is_just_being_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = writer_of(delta("a"))

    def interrupted(earlier: JSON, later: JSON) -> bool:
        taker.start()
        taker.join(0.1)
        return merge(earlier, later)

    taker = threading.Thread(target=writer.take)
    monkeypatch.setattr(stream_writer, "merge", interrupted)
    writer.add([delta("b")])
    taker.join(DEADLINE)
    assert said(unpack(writer.packed())) == "ab"


def test_what_the_event_log_holds_is_not_sent_again_until_it_is_lost() -> None:
    writer = writer_of(delta("a"), done("a"))
    writer.take()
    assert writer.confirm(2)
    writer.add([delta("b")])
    assert writer.take() == (2, [encode(delta("b"))])
    assert not writer.confirm(0)
    assert writer.take() == (0, [encode(delta("a")), encode(done("a")), encode(delta("b"))])


def test_text_of_any_kind_comes_through() -> None:
    text = "\0 \ud800 \n\r \u2028 \N{SNOWMAN} \U0001f600 \x7f"
    writer = writer_of(delta(text), done(text))
    assert [json.loads(event) for event in unpack(writer.packed())] == [delta(text), done(text)]


def test_a_log_without_events_is_unpacked_as_one() -> None:
    assert unpack(writer_of().packed()) == unpack(pack([])) == unpack(None) == []


@given(st.lists(st.sampled_from(["delta", "done", "take", "confirm", "lose"])))
def test_however_it_is_taken_and_lost_the_log_only_grows(steps: list[str]) -> None:
    writer, total, expected = StreamWriter(new_id()), 0, ""
    seen: list[bytes] = []
    for number, step in enumerate(steps):
        match step:
            case "delta":
                writer.add([delta(f"{number} ")])
                expected += f"{number} "
            case "done":
                writer.add([done(str(number))])
            case "lose":
                writer.confirm(0)
                total = 0
            case _:
                start, events = writer.take()
                assert start == total
                assert seen[start:] == list(events[: len(seen) - start])
                seen = [*seen[:start], *events]
                if step == "confirm":
                    assert writer.confirm(len(seen))
                    total = len(seen)
    whole = unpack(writer.packed())
    assert whole[: len(seen)] == seen
    assert said(whole) == expected


def test_the_first_event_goes_out_at_once_and_what_follows_within_the_window_goes_together(
    event_log: MemoryEventLog,
) -> None:
    publisher, writer = StreamPublisher(event_log, window=1.0), StreamWriter(new_id())
    publisher.add(writer, [delta("a")])
    published(event_log, writer, 1)
    for letter in "bcd":
        publisher.add(writer, [delta(letter)])
    assert decoded(published(event_log, writer, 2)) == [delta("a"), delta("bcd")]


def test_what_comes_while_the_broker_is_slow_goes_together(event_log: MemoryEventLog) -> None:
    class Slow(MemoryEventLog):
        going_on = threading.Event()
        called = threading.Event()

        def append(self, batch: Sequence[tuple[UUID, int, Sequence[bytes]]]) -> dict[UUID, int]:
            self.called.set()
            assert self.going_on.wait(DEADLINE)
            return super().append(batch)

    slow, writer = Slow(), StreamWriter(new_id())
    publisher = StreamPublisher(slow, window=0)
    publisher.add(writer, [delta("a")])
    assert slow.called.wait(DEADLINE)
    for letter in "bcd":
        publisher.add(writer, [delta(letter)])
    slow.going_on.set()
    assert decoded(published(slow, writer, 2)) == [delta("a"), delta("bcd")]


def test_what_the_broker_lost_is_sent_again_from_the_start(
    publisher: StreamPublisher, event_log: MemoryEventLog
) -> None:
    writer = StreamWriter(new_id())
    for number in range(5):
        publisher.add(writer, [done(str(number))])
        published(event_log, writer, number + 1)
    event_log.logs.clear()
    publisher.add(writer, [done("5")])
    assert decoded(published(event_log, writer, 6)) == [done(str(number)) for number in range(6)]


def test_a_broker_that_was_down_gets_everything_when_it_is_back(
    publisher: StreamPublisher, event_log: MemoryEventLog
) -> None:
    writer = StreamWriter(new_id())
    event_log.up = False
    for number in range(3):
        publisher.add(writer, [done(str(number))])
    wait_until(lambda: event_log.refused, DEADLINE, "a vain try")
    event_log.up = True
    # No further event has to come.
    assert decoded(published(event_log, writer, 3)) == [done(str(number)) for number in range(3)]


def test_a_log_that_ended_while_the_broker_was_down_is_not_kept(event_log: MemoryEventLog) -> None:
    publisher = StreamPublisher(event_log, window=0)
    writer = StreamWriter(new_id())
    event_log.up = False
    publisher.add(writer, [done("0")])
    wait_until(lambda: event_log.refused, DEADLINE, "a vain try")
    publisher.forget(writer)
    wait_until(lambda: not publisher._dirty, DEADLINE, "forgotten")
    refused = event_log.refused
    # A round that was under way may still put it back, if it may at all.
    publisher._put_back(writer)
    assert not publisher._dirty
    assert event_log.refused <= refused + 1


def test_a_forgotten_log_is_published_no_more(event_log: MemoryEventLog) -> None:
    publisher = StreamPublisher(event_log, window=1.0)
    forgotten, other = StreamWriter(new_id()), StreamWriter(new_id())
    publisher.add(forgotten, [done("0")])
    published(event_log, forgotten, 1)
    publisher.add(forgotten, [done("1")])
    publisher.add(other, [done("0")])
    publisher.forget(forgotten)
    published(event_log, other, 1)
    assert decoded(event_log.logs[forgotten.job_id]) == [done("0")]


def test_forgetting_an_old_log_leaves_the_new_one_of_the_same_job(event_log: MemoryEventLog) -> None:
    publisher = StreamPublisher(event_log, window=0)
    old = StreamWriter(new_id())
    new = StreamWriter(old.job_id)
    event_log.up = False
    publisher._dirty[new.job_id] = new
    publisher.forget(old)
    assert publisher._dirty == {new.job_id: new}


def test_a_round_that_fails_silences_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(MemoryEventLog):
        def append(self, batch: Sequence[tuple[UUID, int, Sequence[bytes]]]) -> dict[UUID, int]:
            if "failed" not in caplog.text:
                raise ValueError("a bug")
            return super().append(batch)

    failing, writer = Failing(), StreamWriter(new_id())
    publisher = StreamPublisher(failing, window=0)
    publisher.add(writer, [done("0")])
    wait_until(lambda: "failed" in caplog.text, DEADLINE, "the failure in the log")
    publisher.add(writer, [done("1")])
    assert decoded(published(failing, writer, 2)) == [done("0"), done("1")]
    assert "a bug" not in caplog.text


def test_many_streams_share_a_round_trip(event_log: MemoryEventLog) -> None:
    publisher = StreamPublisher(event_log, window=1.0)
    first = StreamWriter(new_id())
    publisher.add(first, [done("0")])
    published(event_log, first, 1)
    writers = [StreamWriter(new_id()) for _ in range(BATCH + 50)]
    for writer in writers:
        publisher.add(writer, [done("0")])
    for writer in writers:
        published(event_log, writer, 1)
    assert [len(batch) for batch in event_log.appended] == [1, BATCH, 50]


def test_threads_that_write_while_others_are_published_lose_nothing(
    publisher: StreamPublisher, event_log: MemoryEventLog
) -> None:
    """The broker forgets everything again and again meanwhile."""
    writers = [StreamWriter(new_id()) for _ in range(8)]
    texts = [f"{number} " for number in range(500)]

    def write(writer: StreamWriter) -> None:
        for text in texts:
            publisher.add(writer, [delta(text)])

    threads = [threading.Thread(target=write, args=[writer]) for writer in writers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        event_log.logs.clear()
    for writer in writers:
        publisher.add(writer, [done("all")])
        whole = unpack(writer.packed())
        assert said(whole) == "".join(texts)
        wait_until(lambda: event_log.logs.get(writer.job_id) == whole, DEADLINE, "the whole log")  # noqa: B023
