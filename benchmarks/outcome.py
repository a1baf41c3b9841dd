"""What a benchmark finds: figures of several runs, and the ratios between them that are its goals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, in each of several runs."""

    what: str
    unit: str
    runs: Sequence[float]

    @property
    def median(self) -> float:
        """The median of the runs: one disturbed run does not move it."""
        return median(self.runs)


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure, or a ratio of two, should be. `at_least`: `wanted` is a lower bound, else an upper one."""

    what: str
    found: float
    wanted: float
    unit: str = "x"
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.found >= self.wanted if self.at_least else self.found <= self.wanted


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that one benchmark has to say."""

    name: str
    title: str
    figures: Sequence[Figure]
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth keeping, as JSON."""

    def to_json(self) -> dict[str, Any]:
        """The form in which it is written to a file."""
        found = asdict(self)
        for shown, figure in zip(found["figures"], self.figures, strict=True):
            shown["median"] = figure.median
        for shown, goal in zip(found["goals"], self.goals, strict=True):
            shown["met"] = goal.met
        return found

    def table(self) -> str:
        """What a person reads on a terminal."""
        lines = [f"{self.title}", ""]
        lines += [f"  {f.what:<56} {number(f.median):>10} {f.unit:<10} {_spread(f.runs)}" for f in self.figures]
        lines += ["", *(f"  {_judged(goal)}" for goal in self.goals)] if self.goals else []
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def ratio(what: str, found: Figure, base: Figure, wanted: float, *, at_least: bool = True) -> Goal:
    """The goal that `found` is so many times `base`, by their medians."""
    return Goal(what, found.median / base.median, wanted, at_least=at_least)


def percentile(values: Sequence[float], part: float) -> float:
    """Of a list that is not empty; `part` between 0 and 1."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def number(value: float) -> str:
    """As many digits as mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _judged(goal: Goal) -> str:
    bound = "at least" if goal.at_least else "at most"
    verdict = "met" if goal.met else "NOT MET"
    wanted = f"{bound} {number(goal.wanted)} {goal.unit}"
    return f"{goal.what}: {number(goal.found)} {goal.unit}, wanted {wanted}: {verdict}"


def _spread(runs: Sequence[float]) -> str:
    return f"({number(min(runs))} to {number(max(runs))} in {len(runs)} runs)" if len(runs) > 1 else ""
