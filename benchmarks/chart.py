"""The goals of all benchmarks in one bar chart, as an SVG file for the docs."""

from collections.abc import Iterator, Sequence
from html import escape
from math import inf, log2
from pathlib import Path

from benchmarks.outcome import Goal, Outcome, number

WIDTH, ROW, TOP, BOTTOM = 980, 26, 86, 24
LABELS, BARS = 470, 340
"""Where the bars' part begins, and how wide it is; the figures stand to the right of it."""
MARKS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""The scale, by twos: most of what is found lies near what is wanted."""
STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.quiet { fill: #59636e; font-size: 12px }
.paper { fill: #ffffff }
.grid { stroke: #d1d9e0 }
.just { stroke: #59636e; stroke-width: 1.5 }
.met { fill: #2f81d6 }
.missed { fill: #d2691e }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.quiet { fill: #9198a1 }
.paper { fill: #0d1117 }
.grid { stroke: #3d444d }
.just { stroke: #9198a1 }
}"""


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the chart: to the right of 1 is better than wanted, to the left is worse. Same outcomes, same bytes."""
    goals = [goal for outcome in outcomes for goal in outcome.goals]
    height = TOP + ROW * len(goals) + BOTTOM
    body = [*_head(height), *_grid(height)]
    for row, goal in enumerate(goals):
        body += _bar(goal, TOP + ROW * row)
    path.write_text("\n".join([*body, "</svg>", ""]), encoding="utf-8")


def score(goal: Goal) -> float:
    """How many times better than wanted: 1 is just met, more is better, whichever way the goal runs."""
    over, under = (goal.found, goal.wanted) if goal.at_least else (goal.wanted, goal.found)
    return over / under if under > 0 else inf


def _at(score: float) -> float:
    shown = min(max(score, MARKS[0]), MARKS[-1])
    return LABELS + BARS * log2(shown / MARKS[0]) / log2(MARKS[-1] / MARKS[0])


def _head(height: int) -> Iterator[str]:
    # The namespace is a name that every SVG file carries; nothing is ever loaded from there.
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    yield f"<title>Goals of the benchmarks, and what was found</title><style>{STYLE}</style>"
    yield f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>'
    yield _text(16, 28, "What was found, against what was wanted", "title")
    how = f"Right of 1: better than wanted. Each line is twice the one before; bars end at {MARKS[-1]:g}."
    yield _text(16, 48, how, "quiet")


def _grid(height: int) -> Iterator[str]:
    for mark in MARKS:
        x = _at(mark)
        line = f'<line class="{"just" if mark == 1 else "grid"}" x1="{x:.1f}" y1="{TOP - 8}"'
        yield f'{line} x2="{x:.1f}" y2="{height - BOTTOM + 4}"/>'
        yield _text(x, TOP - 14, f"{mark:g}", "quiet", "middle")


def _bar(goal: Goal, y: float) -> Iterator[str]:
    middle, end = _at(1), _at(score(goal))
    shape = f'<rect class="{"met" if goal.met else "missed"}" x="{min(middle, end):.1f}" y="{y + 4}"'
    yield _text(LABELS - 14, y + 17, goal.what, anchor="end")
    yield f'{shape} width="{max(abs(end - middle), 2):.1f}" height="{ROW - 10}" rx="2"/>'
    bound = "≥" if goal.at_least else "≤"
    figures = f"{number(goal.found)}, {bound} {number(goal.wanted)} {goal.unit}"
    yield _text(LABELS + BARS + 14, y + 17, figures, "quiet")


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
