"""What must hold between jobs: keys are apart (I4), nothing runs too often (I5) or twice (I6), events arrive (I7),
and the API answers (I9).
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.faults.cases import NEVER, Case, Cases, Terms, Violation, is_positive, is_possible
from tests.faults.history import (
    Cancel,
    Create,
    DeadLetter,
    Delete,
    Delivery,
    Fault,
    History,
    Listed,
    Read,
    Record,
    Request,
    Sighting,
    Stream,
)

_TELLS_NOTHING = frozenset({401, 403, 404, 429})
"""What a key may be answered about a job that is not its own, and any 5xx."""
_EVENTS = {
    "completed": {"response.completed", "response.incomplete"},
    "failed": {"response.failed"},
    "cancelled": {"response.cancelled"},
}


def check_promises(history: History, cases: Cases, terms: Terms) -> Iterator[Violation]:
    """Violations of I4, I5, I6, I7 and I9."""
    yield from _leaked(history, cases)
    yield from _called_too_often(cases)
    yield from _run_twice(cases)
    for case in cases.jobs.values():
        yield from _shown_to_others(case)
        yield from _shared(case)
        yield from _unannounced(case)
    yield from _unanswered(history, terms)


def _leaked(history: History, cases: Cases) -> Iterator[Violation]:
    """I4: no key sees another's canary, and nobody sees any where none may be."""
    for record in history:
        if isinstance(record, Sighting):
            yield Violation("I4", record.what, f"It was seen in {record.place}.", (record,))
        elif isinstance(record, Request | Stream):
            for canary in record.canaries:
                owners = cases.owners(canary)
                if owners and record.key not in owners:
                    yield Violation("I4", canary, f"It was shown to {record.key}, who has not sent it.", (record,))


def _shown_to_others(case: Case) -> Iterator[Violation]:
    """I4: to any other key a job is as one that never was."""
    if case.owner is None:
        return
    for record in case.records:
        if isinstance(record, Request | Stream | Listed) and record.key != case.owner and _tells(record):
            yield Violation("I4", case.job_id, f"It is {case.owner}'s, and was shown to {record.key}.", (record,))


def _tells(record: Record) -> bool:
    """Whether a key learns from this that the job is there."""
    match record:
        case Read() | Cancel() | Delete():
            return record.status is not None and record.status not in _TELLS_NOTHING and record.status < 500
        case Stream():
            return bool(record.sequence_numbers)
        case _:
            return True


def _called_too_often(cases: Cases) -> Iterator[Violation]:
    """I5: the model server is asked max_attempts times at most for each job that there may be."""
    for canary, tries in cases.creates.items():
        calls = cases.calls.get(canary, [])
        most = _most_jobs(tries, cases.listed.get(canary, [])) * tries[0].max_attempts
        if len(calls) > most:
            detail = f"The model server was asked {len(calls)} times, {most} are allowed."
            yield Violation("I5", canary, detail, (*tries, *calls))


def _most_jobs(tries: list[Create], listed: list[Listed]) -> int:
    """How many jobs a request may have become: one for each idempotency key, and one for each try without."""
    possible = [create for create in tries if is_possible(create.status)]
    unnamed = [create for create in possible if not create.idempotency_key]
    names = {create.idempotency_key for create in possible if create.idempotency_key}
    # More than one for a name is I6's to find, unless the first was deleted.
    ids = {create.job_id for create in possible if create.idempotency_key} | {job.job_id for job in listed if names}
    return len(unnamed) + max(len(names), len(ids - {None}))


def _run_twice(cases: Cases) -> Iterator[Violation]:
    """I6: one job for each idempotency key, and none that nobody asked for."""
    for (key, name), records in _by_name(cases).items():
        for (_, first), (at, second) in pairwise(_first_told(records)):
            # Who deletes a job, or lets it expire, may use its name again.
            removed = cases.jobs[first].deleted(before=at) or any(gone_at < at for gone_at, _ in cases.jobs[first].gone)
            if not removed:
                detail = f"{key}'s idempotency key {name} stands for {first} too."
                yield Violation("I6", second, detail, tuple(records))
    for canary, tries in cases.creates.items():
        ids = {record.job_id for record in _told(cases, canary)}
        possible = sum(is_possible(create.status) for create in tries)
        if len(ids) > possible and not any(create.idempotency_key for create in tries):
            yield Violation("I6", canary, f"{len(ids)} jobs were made of {possible} requests.", tuple(tries))


def _by_name(cases: Cases) -> dict[tuple[str, str], list[Create | Listed]]:
    """What is known of each idempotency key. A job that was listed without one is known by its canary."""
    found: dict[tuple[str, str], list[Create | Listed]] = defaultdict(list)
    for canary, tries in cases.creates.items():
        names = {create.idempotency_key for create in tries}
        only = names.pop() if len(names) == 1 else None
        for record in _told(cases, canary):
            if name := record.idempotency_key or only:
                found[record.key, name].append(record)
    for listed in (listed for case in cases.jobs.values() for listed in case.of(Listed)):
        if listed.idempotency_key and listed.canary not in cases.creates:
            found[listed.key, listed.idempotency_key].append(listed)
    return found


def _told(cases: Cases, canary: str) -> list[Create | Listed]:
    """Every record that says which job a request has become."""
    records: list[Create | Listed] = [*cases.creates[canary], *cases.listed.get(canary, [])]
    return [record for record in records if record.job_id in cases.jobs]


def _first_told(records: list[Create | Listed]) -> list[tuple[float, str]]:
    """Each id, and when it was first heard of, in that order."""
    first: dict[str, float] = {}
    for record in records:
        if record.job_id:
            first[record.job_id] = min(record.answered_at or NEVER, first.get(record.job_id, NEVER))
    return sorted((at, job_id) for job_id, at in first.items())


def _shared(case: Case) -> Iterator[Violation]:
    """I6: a job is the answer to one request."""
    creates = [create for create in case.of(Create) if create.key == case.owner]
    requests = {(create.canary, create.idempotency_key or number) for number, create in enumerate(creates)}
    if len(requests) > 1:
        yield Violation("I6", case.job_id, f"It was the answer to {len(requests)} requests.", tuple(creates))


def _unannounced(case: Case) -> Iterator[Violation]:
    """I7: the end is told once, signed, to whoever asked for it, or the event is kept as undeliverable."""
    deliveries = case.of(Delivery)
    ends = [sight.state for sight in case.sights if sight.terminal]
    expected = _EVENTS.get(ends[0], set()) if ends else set()
    for delivery in deliveries:
        if not delivery.signature_valid:
            yield Violation("I7", case.job_id, "A delivery's signature is not valid.", (delivery,))
        elif expected and delivery.event_type not in expected:
            yield Violation("I7", case.job_id, f"It is {ends[0]}, and told {delivery.event_type}.", (delivery,))
    if len({delivery.event_id for delivery in deliveries if delivery.event_type in expected}) > 1:
        yield Violation("I7", case.job_id, "Its end is more than one event.", tuple(deliveries))
    told = any(is_positive(delivery.status) and delivery.event_type in expected for delivery in deliveries)
    dead = any(letter.event_type in expected for letter in case.of(DeadLetter))
    if expected and any(create.webhook for create in case.of(Create)) and not told and not dead:
        yield Violation("I7", case.job_id, f"It is {ends[0]}, and nobody was told.", (*case.of(Create), *deliveries))


def _unanswered(history: History, terms: Terms) -> Iterator[Violation]:
    """I9: a reply, of any kind, or a connection that breaks, within the deadline."""
    frozen = [fault for fault in history.of(Fault) if "I9" in fault.excuses]
    for request in history:
        if not isinstance(request, Request):
            continue
        allowed = terms.deadline + (request.patience if isinstance(request, Create | Read) else 0)
        took = (request.answered_at or NEVER) - request.sent_at
        given_up_at = request.sent_at + min(took, allowed)
        if took > allowed and not any(_overlaps(fault, request.sent_at, given_up_at) for fault in frozen):
            late = "not at all" if request.answered_at is None else f"after {took:.1f} s"
            detail = f"A {type(request).__name__} was answered {late}, not within {allowed:g} s."
            yield Violation("I9", _subject(request), detail, (request,))


def _overlaps(fault: Fault, begins_at: float, ends_at: float) -> bool:
    return fault.started_at <= ends_at and begins_at <= (fault.healed_at or NEVER)


def _subject(request: Request) -> str:
    return request.canary if isinstance(request, Create) else request.job_id
