"""Messages of beat that come in a heap are done once."""

from workers.pace import Pace


def test_a_heap_of_messages_is_one_task() -> None:
    now = 1000.0
    pace = Pace(lambda: now)
    assert [pace.due("sweep", 5) for _ in range(3)] == [True, False, False]
    now += 2.4
    assert not pace.due("sweep", 5)
    now += 0.1
    assert pace.due("sweep", 5)


def test_a_steady_beat_is_never_skipped() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    for _ in range(10):
        assert pace.due("sweep", 5)
        # The first one came late, this one early.
        now += 2.6


def test_tasks_have_a_pace_each() -> None:
    pace = Pace(lambda: 0.0)
    assert pace.due("sweep", 5)
    assert pace.due("purge", 60)
    assert not pace.due("purge", 60)
