"""Reading a stream: the same events during the run and afterwards, from any point, whatever happens meanwhile."""

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete

from app.adapters.events import RedisEventLog
from app.db.engine import Database
from app.db.models import Job as JobTable
from app.domain.deltas import Break, Finish, ReasoningDelta, TextDelta, ToolCallDelta
from app.domain.errors import InvalidRequestError, NotFoundError
from app.domain.ids import new_id
from app.domain.jobs import Usage
from app.domain.lifecycle import TERMINAL, Status
from app.services import streams
from app.settings import Settings
from tests import rows
from tests.integration.services.outage import outage
from tests.integration.services.stage import DEADLINE, Reader, Stage, texts, words
from tests.integration.services.worker import WRONG, Piece
from tests.processes import wait_until

FINISH = Finish(Usage(1, 2, 3))
RICH: list[Piece] = [
    ReasoningDelta("Hm."),
    TextDelta("Let me"),
    TextDelta(" look."),
    ToolCallDelta(0, name="look", call_id="call_1"),
    ToolCallDelta(0, '{"at": 1}'),
    FINISH,
]
# Every end of a stream: what the model server says last, what becomes of the job, and what its owner is shown.
ENDS: dict[str, tuple[Piece, Status, str | None]] = {
    "completed": (FINISH, Status.COMPLETED, None),
    "incomplete": (Finish(None, "max_output_tokens"), Status.COMPLETED, "max_output_tokens"),
    "failed": (WRONG, Status.FAILED, None),
}


@pytest.fixture(autouse=True)
def short_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "TICK", 0.1)


@pytest.fixture
def stage(database: Database, owner: UUID, broker_url: str) -> Iterator[Stage]:
    with closing(Stage(database, owner, broker_url)) as made:
        yield made


def numbered(events: list[tuple[int, Any]]) -> bool:
    return [number for number, _ in events] == list(range(len(events)))


def test_output_is_read_while_the_worker_writes_it(stage: Stage) -> None:
    """The model goes on only when the reader has what it said before."""
    reader, job_id = Reader(), stage.submit()
    reader.start(stage.stream(job_id))
    pieces: list[Piece] = []
    said = ""
    for word in ("I ", "am ", "coming "):
        said += word
        pieces += [TextDelta(word), partial(reader.until, said)]
    worker = stage.run(job_id, *pieces, FINISH)
    live = reader.whole()
    worker.join(DEADLINE)
    assert numbered(live)
    assert [what for _, what in live[:3]] == [0, 1, 2]
    assert [what["type"] for _, what in live[3:5]] == ["response.output_item.added", "response.content_part.added"]
    assert live[-1] == (len(live) - 1, "completed")
    assert live == stage.read(job_id)


@pytest.mark.parametrize("end", ENDS)
def test_every_end_of_the_run_ends_the_stream(stage: Stage, end: str) -> None:
    last, status, reason = ENDS[end]
    job_id = stage.submit()
    reader = stage.reader(job_id)
    stage.run(job_id, *words("a", "b"), last).join(DEADLINE)
    live = reader.whole()
    assert live == stage.read(job_id)
    assert (numbered(live), texts(live), live[-1][1]) == (True, "ab", status.value)
    assert stage.streams.open(stage.owner, job_id).incomplete_reason == reason


def test_a_cancel_ends_the_stream(stage: Stage) -> None:
    job_id, cancelled = stage.submit(), threading.Event()
    reader = stage.reader(job_id)
    worker = stage.run(job_id, *words("a", "b"), lambda: cancelled.wait(DEADLINE), *words("c"), FINISH)
    reader.until("ab")
    stage.jobs.cancel(stage.owner, job_id)
    live = reader.whole()
    cancelled.set()
    worker.join(DEADLINE)
    assert (numbered(live), texts(live), live[-1][1]) == (True, "ab", "cancelled")
    assert live == stage.read(job_id)


def test_a_job_cancelled_in_the_queue_was_never_in_progress(stage: Stage) -> None:
    job_id = stage.submit()
    reader = stage.reader(job_id)
    stage.jobs.cancel(stage.owner, job_id)
    assert reader.whole() == stage.read(job_id) == [(0, 0), (1, 1), (2, "cancelled")]
    assert [stage.read(job_id, after) for after in range(4)] == [[(1, 1), (2, "cancelled")], [(2, "cancelled")], [], []]


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_job_that_ended_without_output_has_its_announcements_and_its_end(stage: Stage, status: Status) -> None:
    with stage.worker.database.transaction() as connection:
        job_id = rows.put(connection, stage.owner, status, stream=True)
    assert stage.read(job_id) == [(0, 0), (1, 1), (2, 2), (3, status.value)]


def test_each_start_gives_exactly_the_rest_during_the_run_and_afterwards(stage: Stage) -> None:
    job_id, started = stage.submit(), threading.Event()
    first = stage.reader(job_id)
    worker = stage.run(job_id, *RICH[:-1], lambda: started.wait(DEADLINE), FINISH)
    first.until('Hm.Let me look.{"at": 1}')
    late = {after: stage.reader(job_id, after) for after in range(-1, 30)}
    started.set()
    whole = first.whole()
    worker.join(DEADLINE)
    assert numbered(whole)
    assert len(whole) < 30
    for after, reader in late.items():
        assert reader.whole() == stage.read(job_id, after) == whole[after + 1 :], after


def test_a_late_reader_gets_more_than_a_page_without_a_ring(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PAGE", 2)
    monkeypatch.setattr("app.adapters.events.PAGE", 2)
    monkeypatch.setattr(streams, "TICK", DEADLINE)
    job_id, go_on = stage.submit(), threading.Event()
    first = stage.reader(job_id)
    worker = stage.run(job_id, *RICH[:-1], lambda: go_on.wait(DEADLINE), FINISH)
    first.until('Hm.Let me look.{"at": 1}')
    stage.reader(job_id).until('Hm.Let me look.{"at": 1}')
    go_on.set()
    worker.join(DEADLINE)


def test_what_the_broker_forgets_in_the_middle_the_reader_gets_all_the_same(stage: Stage) -> None:
    reader, job_id = Reader(), stage.submit()
    reader.start(stage.stream(job_id))
    pieces: list[Piece] = []
    said = ""
    for word in ("I ", "am ", "coming "):
        said += word
        pieces += [TextDelta(word), partial(reader.until, said), stage.client.flushdb]
    stage.run(job_id, *pieces, TextDelta("now"), FINISH).join(DEADLINE)
    live = reader.whole()
    assert (numbered(live), texts(live)) == (True, "I am coming now")
    assert live == stage.read(job_id)


def test_a_reader_stops_at_a_gap_and_gets_the_rest_at_the_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    read = RedisEventLog.read
    monkeypatch.setattr(RedisEventLog, "read", lambda *wanted: [e for e in read(*wanted) if e[0] != 3])
    job_id, started = stage.submit(), threading.Event()
    reader = stage.reader(job_id)
    worker = stage.run(job_id, *RICH[:-1], lambda: started.wait(DEADLINE), FINISH)
    wait_until(lambda: len(stage.streams.event_log.read(job_id, 0)) > 5, DEADLINE, "output after the gap")
    wait_until(lambda: len(reader.events) == 6, DEADLINE, "output before the gap")
    started.set()
    worker.join(DEADLINE)
    assert numbered(reader.whole())
    assert reader.events == stage.read(job_id)


def test_without_a_broker_the_reader_gets_everything_at_the_end(stage: Stage) -> None:
    """All that was said is lost before anybody has read it."""
    job_id = stage.submit()
    worker = stage.run(job_id, *words("a", "b"), stage.client.flushdb, FINISH)
    worker.join(DEADLINE)
    stage.client.flushdb()
    assert texts(stage.reader(job_id).whole()) == "ab"


def test_a_live_reader_and_a_later_one_see_the_same_of_a_cancelled_job(stage: Stage) -> None:
    """The worker writes on until it hears of the cancel: what it adds after that must reach nobody."""
    for turn in range(60):
        job_id, stopped = stage.submit(), threading.Event()
        reader = stage.reader(job_id)
        worker = stage.run(job_id, endless=_chatter(stopped))
        wait_until(lambda: len(reader.events) > 5 + turn % 20, DEADLINE, "some output")  # noqa: B023
        stage.jobs.cancel(stage.owner, job_id)
        live = reader.whole()
        stopped.set()
        worker.join(DEADLINE)
        assert live == stage.read(job_id), f"turn {turn}"
        assert live[-1][1] == "cancelled"


def _chatter(stopped: threading.Event) -> Iterator[Piece]:
    """Says more and more, now and then in a new message, so that it can't all be merged."""
    number = 0
    while not stopped.wait(0.0005):
        number += 1
        yield TextDelta(f"{number} ")
        if number % 3 == 0:
            yield Break()
    yield FINISH


def test_a_reader_outlives_an_outage_of_the_database(own_database: Database, broker_url: str, postgres: str) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
    stage = Stage(own_database, owner, broker_url, readers=Database(_settings(own_database)))
    job_id = stage.submit()
    reader = stage.reader(job_id)
    with outage(postgres, stage.streams.database, ends=True) as begin:
        # The reader looks at the row for each change of state.
        ring = lambda: stage.worker.doorbell.ring([job_id])  # noqa: E731
        stage.run(job_id, *words("a"), lambda: reader.until("a"), begin, ring, *words("b"), FINISH).join(DEADLINE)
        live = reader.whole()
    assert (numbered(live), texts(live), live[-1][1]) == (True, "ab", "completed")
    assert live == stage.read(job_id)
    stage.close()
    stage.streams.database.close()


def _settings(database: Database) -> Settings:
    return Settings(database_url=database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False))


def test_a_job_that_is_deleted_ends_the_stream_without_an_end(stage: Stage) -> None:
    job_id = stage.submit()
    reader = stage.reader(job_id)
    wait_until(lambda: len(reader.events) == 2, DEADLINE, "the announcements")
    with stage.worker.database.transaction() as connection:
        connection.execute(delete(JobTable).where(JobTable.id == job_id))
    stage.worker.doorbell.ring([job_id])
    assert reader.whole() == [(0, 0), (1, 1)]


def test_a_silent_stream_tells_its_sender_to_look_after_the_reader(stage: Stage) -> None:
    job_id = stage.submit()
    reader = stage.reader(job_id)
    wait_until(lambda: reader.silences >= 3, DEADLINE, "silences")
    assert reader.events == [(0, 0), (1, 1)]
    stage.jobs.cancel(stage.owner, job_id)
    assert reader.whole()[-1] == (2, "cancelled")


def test_a_reader_that_leaves_is_listened_for_no_more(stage: Stage) -> None:
    stream = stage.stream(job_id := stage.submit())
    assert isinstance(stream, Generator)
    assert [next(stream), stage.streams.watch.doorbell.listened()][1] == [job_id]
    stream.close()
    assert stage.streams.watch.doorbell.listened() == []


def test_a_job_that_waits_again_is_not_announced_twice(stage: Stage) -> None:
    """Its worker was lost before there was output; the next one runs it."""
    job_id = stage.submit()
    reader = stage.reader(job_id)
    lease = stage.worker.claim(job_id)
    wait_until(lambda: len(reader.events) == 3, DEADLINE, "the claim")
    stage.worker.service.hand_back(lease)
    stage.run(job_id, *words("a"), FINISH).join(DEADLINE)
    live = reader.whole()
    assert (numbered(live), live[:3], live[-1][1]) == (True, [(0, 0), (1, 1), (2, 2)], "completed")


def test_only_ones_own_streams_can_be_opened(stage: Stage) -> None:
    with stage.worker.database.transaction() as connection:
        foreign = rows.put(connection, rows.add_owner(connection), stream=True)
        silent = rows.put(connection, stage.owner)
    for job_id in (foreign, new_id(), None):
        with pytest.raises(NotFoundError):
            stage.streams.open(stage.owner, job_id)
    with pytest.raises(InvalidRequestError) as refused:
        stage.streams.open(stage.owner, silent)
    assert (refused.value.error_code, refused.value.param) == ("not_a_stream", "stream")
