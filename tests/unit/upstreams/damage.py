"""Right answers with something odd put in a place of them, as no protocol has it but some server may."""

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

ODD: list[Any] = [None, True, -1, 2.5, "", "odd", [], [3], ["odd"], [[]], {}, {"odd": 1}, [{}], [{"type": "odd"}]]


def damaged(right: Any) -> st.SearchStrategy[Any]:
    """`right` with one value, at any depth, replaced."""
    places = list(_places(right, ()))
    return st.builds(lambda place, odd: _replaced(right, place, odd), st.sampled_from(places), st.sampled_from(ODD))


def _places(value: Any, place: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, entry in inner for found in [(*place, key), *_places(entry, (*place, key))]]


def _replaced(right: Any, place: tuple[Any, ...], odd: Any) -> Any:
    whole = deepcopy(right)
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = odd
    return whole
