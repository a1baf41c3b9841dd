"""The invariants I1 to I9, held against a history: what was promised, and what was seen."""

from tests.faults.cases import Cases, Terms, Violation
from tests.faults.history import History
from tests.faults.lifetimes import check_lifetimes
from tests.faults.promises import check_promises

__all__ = ["Violation", "check"]


def check(
    history: History, *, deadline: float, retention: float | None = None, purge_grace: float = 0.0
) -> list[Violation]:
    """All violations, in the order of the invariants. All times are seconds.

    The history ends when faults have healed and queues have drained: what is not terminal then never will be.
    `deadline`: in which the API answers. `retention`: how long an ended job can be read; None: to the end of the
    history. `purge_grace`: for how long it may still be there after that.
    """
    cases = Cases(history)
    terms = Terms(deadline, retention, purge_grace)
    found = [*check_lifetimes(cases, terms), *check_promises(history, cases, terms)]
    return sorted(found, key=lambda violation: violation.invariant)
