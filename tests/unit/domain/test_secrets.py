"""The form of API keys, and the checksum that catches typing errors before the database is asked."""

import hashlib
import re
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.secrets import _checksum, digest, new_key, well_formed

BASE62 = string.digits + string.ascii_letters
# Fixed, since it stands in the names of tests: its random part is nobody's key.
KEY = "sk-simmer-0123456789ABCDEFGHIJKLMNOPQRST4PMbyp"

positions = st.integers(len("sk-simmer-"), len(KEY) - 1)
characters = st.one_of(st.sampled_from(BASE62), st.characters())


def test_a_key_has_its_form() -> None:
    assert re.fullmatch(r"sk-simmer-[0-9A-Za-z]{36}", new_key())


def test_keys_are_random_in_each_place() -> None:
    keys = [new_key() for _ in range(300)]
    assert all(well_formed(key) for key in keys)
    assert len(set(keys)) == len(keys)
    for place in range(len("sk-simmer-"), len(KEY) - 6):
        assert len({key[place] for key in keys}) > 30


def test_every_single_character_change_is_caught() -> None:
    for place in range(len(KEY)):
        for character in BASE62:
            changed = KEY[:place] + character + KEY[place + 1 :]
            assert well_formed(changed) == (changed == KEY)


@given(positions, characters)
def test_no_other_character_passes_either(place: int, character: str) -> None:
    changed = KEY[:place] + character + KEY[place + 1 :]
    assert well_formed(changed) == (changed == KEY)


@given(st.integers(len("sk-simmer-"), len(KEY) - 2))
def test_two_neighbours_swapped_are_caught(place: int) -> None:
    swapped = KEY[:place] + KEY[place + 1] + KEY[place] + KEY[place + 2 :]
    assume(swapped != KEY)
    assert not well_formed(swapped)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-simmer-",
        KEY.removeprefix("sk-simmer-"),
        KEY.removeprefix("sk-"),
        "sk-simmer-" + KEY,
        KEY[:-1],
        KEY + "0",
        KEY + "\n",
        " " + KEY,
        KEY.upper(),
        "sk-simmer-" + "\N{FULLWIDTH DIGIT ZERO}" * 36,
        "sk-simmer-" + "é" * 36,
        "sk-simmer-" + "\0" * 36,
        "sk-simmer-" + "\ud800" * 36,
    ],
    ids=repr,
)
def test_other_text_is_not_well_formed(text: str) -> None:
    assert not well_formed(text)


def test_letters_that_are_no_ascii_do_not_pass_with_the_right_checksum() -> None:
    for body in ("é" * 30, "\N{ARABIC-INDIC DIGIT ZERO}" * 30):
        assert not well_formed("sk-simmer-" + body + _checksum(body))


def test_the_checksum_stays_what_it_was() -> None:
    # Keys are in people's hands: a change of the algorithm would end them all.
    assert well_formed("sk-simmer-" + "0" * 30 + "2C8GjS")


def test_what_is_stored_is_the_sha_256() -> None:
    assert digest(KEY) == hashlib.sha256(KEY.encode()).digest()
