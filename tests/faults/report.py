"""What a history holds, as a short text: so that a run without violations can be seen to have tried."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import quantiles

from tests.faults.cases import Case, Cases, Violation
from tests.faults.history import Call, Create, Fault, History, Read, Stream

_SHOWN = 20
"""Violations that are printed in full."""
_EVIDENCE = 3


@dataclass(frozen=True, slots=True)
class Recovery:
    """A fault, and the seconds from its end until a job had completed that was created after it; None: none has."""

    fault: Fault
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts; `requests` are creates, by what came back."""

    jobs: int
    accepted: int
    refused: int
    unknown: int
    states: Counter[str]
    """Of jobs, as they were last seen."""
    codes: Counter[str]
    """Why jobs failed."""
    calls: int
    reruns: int
    """Upstream calls beyond the first of each request."""
    reads: int
    streams: int
    seconds: float
    """From the first create to the last."""
    answer_times: tuple[float, float, float] | None
    """Seconds: median, 99 in 100, and the longest, of creates that got an answer."""
    recoveries: list[Recovery] = field(default_factory=list)


def summary(history: History) -> Summary:
    """Count what a history holds."""
    cases = Cases(history)
    creates = history.of(Create)
    jobs = [case for case in cases.jobs.values() if case.of(Create)]
    called = Counter(call.canary for call in history.of(Call))
    return Summary(
        jobs=len(jobs),
        accepted=sum(_was_accepted(create) for create in creates),
        refused=sum(create.status is not None and not _was_accepted(create) for create in creates),
        unknown=sum(create.status is None for create in creates),
        states=Counter(_last_state(case) for case in jobs),
        codes=Counter(code for case in jobs for code in {read.code for read in case.of(Read)} if code),
        calls=called.total(),
        reruns=called.total() - len(called),
        reads=len(history.of(Read)),
        streams=len(history.of(Stream)),
        seconds=max(sent_at) - min(sent_at) if (sent_at := [create.sent_at for create in creates]) else 0.0,
        answer_times=_spread(_answer_times(creates)),
        recoveries=_recoveries(history.of(Fault), jobs),
    )


def render(history: History, violations: Iterable[Violation]) -> str:
    """A table of the summary, the faults with their recovery times, and the violations."""
    found, seen = list(violations), summary(history)
    lines = [*_counts(seen), *_faults(seen), f"violations  {len(found)}"]
    for violation in found[:_SHOWN]:
        lines.append(f"  {violation.invariant} {violation.subject}: {violation.detail}")
        lines += [f"     {record}" for record in violation.evidence[:_EVIDENCE]]
    if len(found) > _SHOWN:
        lines.append(f"  … and {len(found) - _SHOWN} more")
    return "\n".join(lines)


def _counts(seen: Summary) -> Iterator[str]:
    rate = f" in {seen.seconds:.0f} s, {seen.jobs / seen.seconds:.0f}/s" if seen.seconds >= 1 else ""
    yield f"jobs        {seen.jobs}{rate}: {_listed(seen.states)}"
    if seen.codes:
        yield f"failed by   {_listed(seen.codes)}"
    yield f"creates     {seen.accepted} accepted, {seen.refused} refused, {seen.unknown} without a reply"
    if seen.answer_times:
        median, most, longest = seen.answer_times
        yield f"answered    in {median * 1000:.0f} ms (median), {most * 1000:.0f} ms (99 %), {longest:.2f} s (longest)"
    yield f"upstream    {seen.calls} calls, {seen.reruns} of them re-runs"
    yield f"readers     {seen.reads} reads, {seen.streams} streams"


def _faults(seen: Summary) -> Iterator[str]:
    yield f"faults      {len(seen.recoveries)}"
    by_name: dict[str, list[float | None]] = {}
    for recovery in seen.recoveries:
        by_name.setdefault(recovery.fault.name, []).append(recovery.seconds)
    for name, found in sorted(by_name.items()):
        known = [seconds for seconds in found if seconds is not None]
        within = f", recovered within {max(known):.1f} s" if known else ""
        unknown = f", {len(found) - len(known)} without a job after it" if len(known) < len(found) else ""
        yield f"  {name}: {len(found)}{within}{unknown}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "none"


def _was_accepted(create: Create) -> bool:
    return create.status is not None and 200 <= create.status < 300


def _last_state(case: Case) -> str:
    return case.sights[-1].state if case.sights else "never seen"


def _answer_times(creates: Iterable[Create]) -> list[float]:
    return [create.answered_at - create.sent_at for create in creates if create.answered_at and create.status]


def _spread(seconds: list[float]) -> tuple[float, float, float] | None:
    if len(seconds) < 2:
        return None
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[98], max(seconds)


def _recoveries(faults: Iterable[Fault], jobs: Iterable[Case]) -> list[Recovery]:
    """By the end of each fault. One without an end, such as a kill, counts from its start."""
    lives = [(create.sent_at, done_at) for case in jobs for create in case.of(Create) if (done_at := _done_at(case))]
    found = []
    for fault in sorted(faults, key=lambda fault: fault.started_at):
        over_at = fault.started_at if fault.healed_at is None else fault.healed_at
        done = min((done_at for sent_at, done_at in lives if sent_at >= over_at), default=None)
        found.append(Recovery(fault, None if done is None else done - over_at))
    return found


def _done_at(case: Case) -> float | None:
    """When its completion was seen."""
    return min((sight.known_at for sight in case.sights if sight.state == "completed"), default=None)
