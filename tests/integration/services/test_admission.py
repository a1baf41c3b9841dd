"""The caps on what may be under way: exact where it matters, and nearly free where it does not."""

from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

import pytest

from app.db.engine import Database
from app.domain.errors import OverloadedError, RateLimitedError, ServiceError, UnavailableError
from app.domain.lifecycle import Status
from app.domain.rates import KeyLimits, Rate
from app.services import admission
from app.services.admission import KEY_COUNT_AGE, TOTAL_COUNT_AGE, AdmissionService
from app.services.keys import Caller
from app.settings import Settings
from tests import rows
from tests.processes import free_port
from tests.statements import after_first, recorded

ANY = Rate(1, 1)
FAR = KeyLimits(ANY, ANY, max_active=100_000, max_queued=100_000)
ENDED = {"ended_at": rows.NOW, "expires_at": rows.LATER, "redispatch_at": None}
CANCELLED = {**ENDED, "status": Status.CANCELLED.value}


class Clock:
    """Monotonic seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(database: Database, clock: Clock) -> AdmissionService:
    return AdmissionService(database, Settings(), clock)


@pytest.fixture
def caller(owner: UUID) -> Caller:
    """Far below its caps."""
    return Caller(owner, frozenset(), FAR)


def capped(caller: Caller, *, max_active: int = 100_000, max_queued: int = 100_000) -> Caller:
    return replace(caller, limits=replace(FAR, max_active=max_active, max_queued=max_queued))


def put(database: Database, caller: Caller, status: Status = Status.QUEUED) -> UUID:
    with database.transaction() as connection:
        return rows.put(connection, caller.api_key_id, status)


def fill(database: Database, caller: Caller, count: int) -> None:
    with database.transaction() as connection:
        rows.fill(connection, [caller.api_key_id], count, statuses=[Status.QUEUED], expired_every=2)


def submit(service: AdmissionService, caller: Caller) -> UUID:
    service.admit(caller)
    return put(service.database, caller)


def cancel(database: Database, job_id: UUID) -> None:
    with database.transaction() as connection:
        rows.change(connection, job_id, **CANCELLED)


class Refusal(NamedTuple):
    """What a caller is told."""

    kind: type[ServiceError]
    code: str
    retry_after: float


ACTIVE_CAP = Refusal(RateLimitedError, "concurrency_limit_exceeded", 5)
QUEUED_CAP = Refusal(RateLimitedError, "queue_limit_exceeded", 5)
OVERLOADED = Refusal(OverloadedError, "overloaded", 30)


def refusal(service: AdmissionService, caller: Caller) -> Refusal:
    with pytest.raises(ServiceError) as refused:
        service.admit(caller)
    error = refused.value
    assert isinstance(error, RateLimitedError | OverloadedError)
    assert error.message.endswith(".")
    return Refusal(type(error), error.error_code, error.retry_after)


@pytest.mark.parametrize(("cap", "refused"), [("max_active", ACTIVE_CAP), ("max_queued", QUEUED_CAP)])
def test_a_cap_is_met_exactly(service: AdmissionService, caller: Caller, cap: str, refused: Refusal) -> None:
    caller = capped(caller, **{cap: 3})
    first, *_ = [submit(service, caller) for _ in range(3)]
    assert [refusal(service, caller) for _ in range(2)] == [refused] * 2
    cancel(service.database, first)
    submit(service, caller)
    assert refusal(service, caller) == refused


def test_two_processes_meet_a_cap_together(service: AdmissionService, caller: Caller, clock: Clock) -> None:
    caller = capped(caller, max_active=7)
    services = [service, AdmissionService(service.database, service.settings, clock)]
    jobs = [submit(services[number % 2], caller) for number in range(7)]
    assert [refusal(each, caller) for each in services] == [ACTIVE_CAP] * 2
    cancel(service.database, jobs[0])
    submit(services[1], caller)
    assert [refusal(each, caller) for each in services] == [ACTIVE_CAP] * 2


def test_what_runs_is_active_and_not_queued_and_what_ended_is_neither(
    service: AdmissionService, caller: Caller
) -> None:
    for status in Status:
        put(service.database, caller, status)
    service.admit(capped(caller, max_active=3))
    assert refusal(service, capped(caller, max_active=2)) == ACTIVE_CAP
    service.admit(capped(caller, max_queued=2))
    assert refusal(service, capped(caller, max_queued=1)) == QUEUED_CAP


def test_others_jobs_do_not_count(service: AdmissionService, caller: Caller, own_database: Database) -> None:
    with service.database.transaction() as connection:
        other = replace(caller, api_key_id=rows.add_owner(connection))
    put(service.database, other)
    service.admit(capped(caller, max_active=1, max_queued=1))
    assert refusal(service, capped(other, max_active=1)) == ACTIVE_CAP


def test_everybodys_queue_has_a_cap(own_database: Database, clock: Clock) -> None:
    service = AdmissionService(own_database, Settings(max_queued_total=3), clock)
    with own_database.transaction() as connection:
        callers = [Caller(rows.add_owner(connection), frozenset(), FAR) for _ in range(3)]
    put(own_database, callers[0], Status.IN_PROGRESS)
    jobs = [submit(service, caller) for caller in callers]
    assert [refusal(service, caller) for caller in callers] == [OVERLOADED] * 3
    cancel(own_database, jobs[0])
    submit(service, callers[1])
    assert refusal(service, callers[2]) == OVERLOADED


def test_far_below_the_caps_the_database_is_hardly_asked(
    service: AdmissionService, caller: Caller, clock: Clock
) -> None:
    with recorded(service.database) as sent:
        service.admit(caller)
        assert len(sent) == 2
        clock.now += KEY_COUNT_AGE - 0.01
        for _ in range(100):
            service.admit(caller)
        assert len(sent) == 2
        clock.now += 0.01
        service.admit(caller)
        assert len(sent) == 3
        clock.now += TOTAL_COUNT_AGE
        service.admit(caller)
        assert len(sent) == 5


@pytest.mark.parametrize(("own", "total"), [(102, 1_000_000), (100_000, 102)], ids=["of the key", "of all"])
def test_what_was_let_in_counts_until_the_next_count(
    own_database: Database, clock: Clock, caller: Caller, own: int, total: int
) -> None:
    service = AdmissionService(own_database, Settings(max_queued_total=total), clock)
    caller = capped(caller, max_active=own)
    with recorded(own_database) as sent:
        service.admit(caller)
        service.admit(caller)
        assert len(sent) == 2
        # A hundred are left: from here on it is counted each time.
        service.admit(caller)
        assert len(sent) == 3


@pytest.mark.parametrize(
    ("jobs", "cap", "counts"),
    [(150, 251, 1), (150, 252, 0), (1799, 2000, 1), (1798, 2000, 0)],
    ids=["a hundred left", "more", "a tenth left", "more than that"],
)
def test_near_a_cap_it_is_counted_anew(
    service: AdmissionService, caller: Caller, clock: Clock, jobs: int, cap: int, counts: int
) -> None:
    fill(service.database, caller, jobs)
    caller = capped(caller, max_queued=cap)
    service.admit(caller)
    # Longer than so many rows are good for near a cap, much shorter than far from it.
    clock.now += 0.02
    with recorded(service.database) as sent:
        service.admit(caller)
    assert len(sent) == counts


def test_a_large_count_is_not_repeated_for_each_refusal(
    service: AdmissionService, caller: Caller, clock: Clock
) -> None:
    fill(service.database, caller, 1000)
    last = put(service.database, caller)
    caller = capped(caller, max_active=1001)
    with recorded(service.database) as sent:
        assert [refusal(service, caller) for _ in range(20)] == [ACTIVE_CAP] * 20
        assert len(sent) == 1
    cancel(service.database, last)
    # A thousand rows are good for ten milliseconds.
    clock.now += 0.011
    service.admit(caller)
    assert refusal(service, caller) == ACTIVE_CAP


def test_the_longer_a_count_takes_the_longer_it_is_good(
    own_database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = AdmissionService(own_database, Settings(), clock)
    with own_database.transaction() as connection:
        caller = Caller(rows.add_owner(connection), frozenset(), FAR)
    # A thousand rows for a million.
    monkeypatch.setattr(admission, "_ROWS_PER_SECOND", 100)
    fill(own_database, caller, 1000)
    service.admit(caller)
    with recorded(own_database) as sent:
        clock.now += 2 * TOTAL_COUNT_AGE - 0.01
        service.admit(caller)
        assert not sent
        clock.now += 0.02
        service.admit(caller)
        assert len(sent) == 2


def test_others_go_by_the_old_count_while_one_counts(service: AdmissionService, caller: Caller, clock: Clock) -> None:
    service.admit(caller)
    clock.now += KEY_COUNT_AGE
    with recorded(service.database) as sent, after_first(service.database, "count", lambda: service.admit(caller)):
        service.admit(caller)
    assert len(sent) == 1


def test_the_memory_of_a_process_is_bounded(
    service: AdmissionService, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_CACHED", 4)
    for number in range(20):
        service.admit(replace(caller, api_key_id=UUID(int=number)))
        assert len(service._tallies) <= 4


def test_without_the_database_nothing_is_let_in(caller: Caller) -> None:
    down = Database(Settings(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none"))
    with pytest.raises(UnavailableError) as refused:
        AdmissionService(down, Settings()).admit(caller)
    assert refused.value.error_code == "unavailable"
