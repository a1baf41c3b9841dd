"""Ids: UUIDv7 inside, `resp_…` outside."""

import time
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import new_id, parse_public_id, public_id

MAX_MILLISECONDS = 2**48 - 1


def at(monkeypatch: pytest.MonkeyPatch, milliseconds: int) -> UUID:
    monkeypatch.setattr(time, "time_ns", lambda: milliseconds * 1_000_000 + 999_999)
    return new_id()


def test_an_id_is_a_uuid_of_version_7() -> None:
    for _ in range(100):
        made = new_id()
        assert made.version == 7
        assert made.variant == RFC_4122


@pytest.mark.parametrize("milliseconds", [0, 1_741_476_542_123, MAX_MILLISECONDS])
def test_its_first_48_bits_are_unix_milliseconds(monkeypatch: pytest.MonkeyPatch, milliseconds: int) -> None:
    made = at(monkeypatch, milliseconds)
    assert made.int >> 80 == milliseconds
    assert made.version == 7


def test_the_next_12_bits_are_steps_of_the_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    for nanoseconds, step in {0: 0, 244: 0, 245: 1, 500_000: 2048, 999_999: 4095}.items():
        monkeypatch.setattr(time, "time_ns", lambda late=nanoseconds: 1_741_476_542_123_000_000 + late)
        made = new_id()
        assert (made.int >> 80, made.int >> 64 & 0xFFF) == (1_741_476_542_123, step)


def test_the_last_62_bits_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [at(monkeypatch, 1_741_476_542_123).int for _ in range(200)]
    assert len(set(made)) == len(made)
    assert [bit for bit in range(80) if len({number >> bit & 1 for number in made}) == 1] == list(range(62, 80))


def test_ids_of_different_milliseconds_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [0, 1, 255, 256, 1_741_476_542_123, 1_741_476_542_124, MAX_MILLISECONDS]
    made = [at(monkeypatch, moment) for moment in moments]
    assert made == sorted(made)
    assert [public_id(each) for each in made] == sorted(public_id(each) for each in made)


@given(st.uuids())
def test_public_ids_come_back(job_id: UUID) -> None:
    assert len(public_id(job_id)) == len("resp_") + 32
    assert parse_public_id(public_id(job_id)) == job_id


GOOD = "resp_0195a1b2c3d47e5f8a9b0c1d2e3f4a5b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resp_",
        GOOD.removeprefix("resp_"),
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        " " + GOOD,
        GOOD.upper(),
        GOOD.replace("resp_", "RESP_"),
        GOOD.replace("a", "A"),
        GOOD.replace("b", "g"),
        GOOD.replace("0", "\N{FULLWIDTH DIGIT ZERO}"),
        GOOD.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"),
        "resp_0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
        "resp_{0195a1b2c3d47e5f8a9b0c1d2e3f4a}",
        "\0",
        "../" + GOOD,
        "resp_67ccd2bed1ec8190",
    ],
)
def test_malformed_ids_are_none(text: str) -> None:
    assert parse_public_id(GOOD)
    assert parse_public_id(text) is None


@given(st.text(alphabet=st.sampled_from("resp_0123456789abcdefg-\n"), max_size=60))
def test_whatever_is_read_is_written_the_same(text: str) -> None:
    found = parse_public_id(text)
    assert found is None or public_id(found) == text
