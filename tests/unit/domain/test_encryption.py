"""The setting that names the encryption keys, and the form of a sealed value."""

import base64
from uuid import UUID

import pytest

from app.domain.encryption import KeyRing, NoSealer, SealedError, join, new_key, parse_keys, split
from app.domain.errors import UnavailableError

CANARY = "canary-2b7e"
JOB = UUID("0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")
A, B = bytes(range(32)), bytes(range(32, 64))


def entry(key_id: str, key: bytes = A) -> str:
    return f"{key_id}:{base64.b64encode(key).decode()}"


@pytest.mark.parametrize("text", ["", "  "])
def test_without_keys_there_is_none(text: str) -> None:
    assert parse_keys(text) == KeyRing(None, {})


def test_the_first_key_seals_and_all_open() -> None:
    assert parse_keys(f" {entry('new')} , {entry('2026-old', B)}\n") == KeyRing("new", {"new": A, "2026-old": B})


def test_off_seals_nothing_and_all_open() -> None:
    assert parse_keys(f"off,{entry('a')},{entry('b', B)}") == KeyRing(None, {"a": A, "b": B})
    assert parse_keys("off") == KeyRing(None, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CANARY, "a key has 32 bytes"),
        (f"{CANARY}:", "a key has 32 bytes"),
        (f":{base64.b64encode(A).decode()}", "an id has up to 32"),
        (f"{entry('a')},", "an id has up to 32"),
        (f"{entry('a')},off", "an id has up to 32"),
        (entry("off"), "an id has up to 32"),
        (entry("Canary-2B7E"), "an id has up to 32"),
        (entry("a_b"), "an id has up to 32"),
        (entry("-a"), "an id has up to 32"),
        (entry("a" * 33), "an id has up to 32"),
        (f"a:{CANARY}!", "a key is base64"),
        (f"a:{base64.urlsafe_b64encode(bytes([255] * 32)).decode()}", "a key is base64"),
        (entry("a", A[:16]), "a key has 32 bytes"),
        (entry("a", A + b"0"), "a key has 32 bytes"),
        (f"{entry('a')},{entry('a', B)}", "the same id twice"),
        (f"{entry('a')},{entry('b')}", "the same key under two ids"),
    ],
)
def test_what_is_no_list_of_keys_is_refused_without_telling_it(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        parse_keys(text)
    assert CANARY not in str(refused.value).lower()
    assert base64.b64encode(A).decode() not in str(refused.value)


def test_new_keys_are_good_and_never_the_same() -> None:
    rings = [parse_keys(new_key()) for _ in range(50)]
    assert len({key for ring in rings for key in ring.keys.values()}) == 50
    assert [ring for ring in rings if ring.current not in ring.keys] == []


def test_keys_stay_out_of_the_repr() -> None:
    assert "keys" not in repr(KeyRing("a", {"a": A}))


@pytest.mark.parametrize("blob", [b"\0", bytes(range(256))])
def test_a_sealed_value_is_put_together_and_taken_apart(blob: bytes) -> None:
    assert split(join("a-1", blob), JOB, "inputs") == ("a-1", blob)


@pytest.mark.parametrize(
    "text",
    ["", "sealed1:", "sealed1::AAAA", "sealed2:a:AAAA", "sealed1:A:AAAA", "sealed1:a:A", "sealed1:a:AA AA"],
)
def test_another_form_does_not_open(text: str) -> None:
    with pytest.raises(SealedError):
        split(text, JOB, "inputs")


def test_without_keys_nothing_opens_and_the_operator_is_told_which_key_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(UnavailableError) as refused:
        NoSealer().open(join("a-1", CANARY.encode()), JOB, "inputs")
    assert "a-1" not in refused.value.message, "clients are not told about keys"
    [record] = caplog.records
    assert record.__dict__["fields"] == {"key_id": "a-1", "job_id": JOB, "place": "inputs"}
    assert "SIMMER_ENCRYPTION_KEYS" in record.getMessage()
