"""What the garbage collector leaves out."""

import gc
from collections.abc import Iterator

import pytest

from app.garbage import leave_out_what_is_loaded


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def _looked_at(thing: object) -> bool:
    return any(each is thing for each in gc.get_objects())


def test_what_was_there_before_is_left_out_and_nothing_else() -> None:
    before: list[object] = []
    assert _looked_at(before)
    leave_out_what_is_loaded()
    after: list[object] = []
    assert not _looked_at(before)
    assert _looked_at(after)
