"""AES-GCM as it is used: a value opens under its key, for its job, at its place, and not if a bit of it differs."""

import base64
import hmac
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.sealer import NONCE_BYTES, AesGcmSealer
from app.domain.encryption import PREFIX, KeyRing, SealedError
from app.domain.ids import new_id
from app.domain.ports import Sealer

JOB = UUID("0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")
OLD, NEW = bytes(range(32)), bytes(range(32, 64))
STORED = "sealed1:old:AAAAAAAAAAAAAAAABm4xiFYKV85nRxwZLdDJKCfSPQ8huyp6wJvw+es="
PLAIN = b'{"inputs":["canary-77aa"]}'


@pytest.fixture
def sealer() -> Sealer:
    return AesGcmSealer(KeyRing("new", {"new": NEW, "old": OLD}))


def blob_of(sealed: str) -> bytes:
    return base64.b64decode(sealed.rpartition(":")[2])


@given(st.binary(), st.uuids(), st.text(st.characters(codec="utf-8")))
def test_what_was_sealed_opens(plain: bytes, job_id: UUID, place: str) -> None:
    made = AesGcmSealer(KeyRing("new", {"new": NEW}))
    sealed = made.seal(plain, job_id, place)
    assert made.open(sealed, job_id, place) == plain
    assert sealed.startswith(f"{PREFIX}new:")


def test_what_is_stored_today_is_read_by_every_later_version(sealer: Sealer) -> None:
    assert sealer.open(STORED, JOB, "inputs") == b'{"inputs":[]}'


def test_the_cipher_is_aes_256_gcm_under_a_key_derived_for_the_job(sealer: Sealer) -> None:
    blob = blob_of(sealer.seal(PLAIN, JOB, "output"))
    # HKDF-Expand (RFC 5869) of one block.
    derived = hmac.digest(NEW, b"simmer payload 1" + JOB.bytes + b"\x01", "sha256")
    cipher = AESGCM(derived)
    assert cipher.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], JOB.bytes + b"output") == PLAIN


def test_each_value_has_a_nonce_of_its_own(sealer: Sealer) -> None:
    values = [sealer.seal(PLAIN, JOB, "inputs") for _ in range(1000)]
    assert len({blob_of(value)[:NONCE_BYTES] for value in values}) == 1000
    assert len({blob_of(value)[NONCE_BYTES:] for value in values}) == 1000


def test_nothing_of_the_text_shows(sealer: Sealer) -> None:
    sealed = sealer.seal(PLAIN, JOB, "inputs")
    assert b"canary" not in sealed.encode() + blob_of(sealed)
    assert len(blob_of(sealed)) == NONCE_BYTES + len(PLAIN) + 16


@pytest.mark.parametrize(("job_id", "place"), [(new_id(), "inputs"), (JOB, "output"), (JOB, ""), (JOB, "inputs2")])
def test_a_value_of_another_job_or_column_does_not_open(sealer: Sealer, job_id: UUID, place: str) -> None:
    with pytest.raises(SealedError):
        sealer.open(sealer.seal(PLAIN, JOB, "inputs"), job_id, place)


def test_no_changed_bit_goes_unnoticed(sealer: Sealer) -> None:
    sealed = sealer.seal(PLAIN, JOB, "inputs")
    head, blob = sealed.rpartition(":")[0], blob_of(sealed)
    for position in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(SealedError):
            sealer.open(f"{head}:{base64.b64encode(changed).decode()}", JOB, "inputs")


@pytest.mark.parametrize("length", [0, 1, NONCE_BYTES, NONCE_BYTES + 15])
def test_a_cut_value_does_not_open(sealer: Sealer, length: int) -> None:
    cut = base64.b64encode(blob_of(sealer.seal(PLAIN, JOB, "inputs"))[:length]).decode()
    with pytest.raises(SealedError):
        sealer.open(f"{PREFIX}new:{cut}", JOB, "inputs")


def test_another_key_of_the_same_id_does_not_open(sealer: Sealer, caplog: pytest.LogCaptureFixture) -> None:
    sealed = AesGcmSealer(KeyRing("new", {"new": OLD})).seal(PLAIN, JOB, "inputs")
    with pytest.raises(SealedError):
        sealer.open(sealed, JOB, "inputs")
    assert "another key has this id" in caplog.text
    assert "canary" not in caplog.text + str(caplog.records[0].__dict__)


def test_an_id_that_is_changed_does_not_open(sealer: Sealer) -> None:
    sealed = sealer.seal(PLAIN, JOB, "inputs")
    with pytest.raises(SealedError):
        sealer.open(sealed.replace(":new:", ":old:"), JOB, "inputs")


def test_a_key_that_is_not_there_is_named_to_the_operator(caplog: pytest.LogCaptureFixture, sealer: Sealer) -> None:
    without = AesGcmSealer(KeyRing("old", {"old": OLD}))
    with pytest.raises(SealedError) as refused:
        without.open(sealer.seal(PLAIN, JOB, "inputs"), JOB, "inputs")
    [record] = caplog.records
    assert record.__dict__["fields"] == {"key_id": "new", "job_id": JOB, "place": "inputs"}
    assert "new" not in refused.value.message


def test_keys_stay_out_of_the_repr(sealer: Sealer) -> None:
    assert str(OLD)[2:10] not in repr(sealer) + repr(vars(sealer))
