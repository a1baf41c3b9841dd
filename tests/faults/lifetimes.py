"""What must hold for the life of each job: it ends (I1), for good (I2), in one way (I3), and is purged (I8)."""

from collections.abc import Iterator
from itertools import combinations, pairwise
from operator import itemgetter

from tests.faults.cases import NEVER, Case, Cases, Sight, Terms, Violation
from tests.faults.history import Create, Read, Stream


def check_lifetimes(cases: Cases, terms: Terms) -> Iterator[Violation]:
    """Violations of I1, I2, I3 and I8."""
    for case in cases.jobs.values():
        yield from _unended(case, terms)
        yield from _changed(case)
        yield from _doubled(case)
        yield from _mixed_up(case)
        yield from _undead(case, terms)


def _unended(case: Case, terms: Terms) -> Iterator[Violation]:
    """I1: what was accepted ends, and is kept for as long as was promised."""
    creates = case.of(Create)
    if not creates:
        return
    last_shown_at = max(at for at, _ in case.shown())
    # One that was there again afterwards was not lost: see I8.
    gone = [seen for seen in case.gone if seen[0] >= last_shown_at]
    kept_until = NEVER if terms.retention is None else case.ended_after() + terms.retention
    missed = next((record for at, record in gone if at < kept_until and not case.deleted(before=at)), None)
    if missed:
        yield Violation("I1", case.job_id, "It was accepted, and is gone.", (creates[0], missed))
    elif not gone and not case.deleted(after=last_shown_at) and not any(sight.terminal for sight in case.sights):
        states = [sight.state for sight in case.sights]
        detail = f"It was accepted, and is still {states[-1]}." if states else "It was accepted, and never seen again."
        yield Violation("I1", case.job_id, detail, (creates[0], *(sight.record for sight in case.sights[-1:])))


def _changed(case: Case) -> Iterator[Violation]:
    """I2: nothing follows an end, and no reader's events are missing or told twice."""
    ends = [sight for sight in case.sights if sight.terminal]
    for stream in case.of(Stream):
        if any(later != earlier + 1 for earlier, later in pairwise(stream.sequence_numbers)):
            yield Violation("I2", case.job_id, "A stream's events are not in order, one by one.", (stream,))
    if not ends:
        return
    first = min(ends, key=lambda sight: sight.known_at)
    other = next((end for end in ends if end.state != first.state), None)
    undone = next((sight for sight in case.sights if not sight.terminal and sight.began_at > first.known_at), None)
    if other:
        yield _violation("I2", case, f"It was {first.state}, and it was {other.state}.", first, other)
    elif undone:
        yield _violation("I2", case, f"It was {first.state}, and then {undone.state}.", first, undone)
    else:
        for earlier, later in _different(ends):
            if _in_order(earlier, later):
                yield _violation("I2", case, "Its result has changed.", earlier, later)


def _doubled(case: Case) -> Iterator[Violation]:
    """I3: two results that were there at the same time. Two that followed each other are a change (I2)."""
    for one, other in _different(case.sights):
        if one.state == other.state and not _in_order(one, other):
            yield _violation("I3", case, "It has two results.", one, other)


def _mixed_up(case: Case) -> Iterator[Violation]:
    """I3: a result that is not the answer to what was asked."""
    asked = {create.canary for create in case.of(Create) if create.echoed}
    for record in case.records:
        if not isinstance(record, Read | Create | Stream) or not asked or record.key != case.owner:
            continue
        if _shows_answer(record) and not asked & set(record.canaries):
            yield Violation("I3", case.job_id, "It is completed with an answer to something else.", (record,))
            return


def _shows_answer(record: Read | Create | Stream) -> bool:
    """A completed job's answer. Replies to creates and streams are often looked at for no canaries at all."""
    if isinstance(record, Read):
        return record.state == "completed"
    state = record.state if isinstance(record, Create) else record.terminal
    return state == "completed" and bool(record.canaries)


def _undead(case: Case, terms: Terms) -> Iterator[Violation]:
    """I8: what is gone stays gone, and goes in time."""
    gone_at, *gone = case.gone[0] if case.gone else (NEVER,)
    due_at = NEVER if terms.retention is None else case.ended_before() + terms.retention + terms.purge_grace
    asked_at, shown = max(case.shown(), key=itemgetter(0), default=(0.0, None))
    if shown and asked_at > gone_at:
        yield Violation("I8", case.job_id, "It was gone, and is there again.", (*gone, shown))
    elif shown and asked_at > due_at:
        detail = f"It is there {asked_at - due_at:.1f} s after it had to be purged."
        yield Violation("I8", case.job_id, detail, (shown,))


def _different(ends: list[Sight]) -> Iterator[tuple[Sight, Sight]]:
    """One pair for any two results that differ, the one known first in front."""
    by_result: dict[str, list[Sight]] = {}
    for end in sorted(ends, key=lambda sight: sight.known_at):
        if end.result is not None:
            by_result.setdefault(end.result, []).append(end)
    for ones, others in combinations(by_result.values(), 2):
        yield ones[0], max(others, key=lambda sight: sight.began_at)


def _in_order(earlier: Sight, later: Sight) -> bool:
    return later.began_at > earlier.known_at


def _violation(invariant: str, case: Case, detail: str, *sights: Sight) -> Violation:
    return Violation(invariant, case.job_id, detail, tuple(sight.record for sight in sights))
