"""AES-256-GCM, with a key of its own for each job."""

import os
from functools import cached_property
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from app.domain.encryption import KEY_BYTES, KeyRing, damaged, join, missing_key, split

NONCE_BYTES = 12
_PURPOSE = b"simmer payload 1"


class AesGcmSealer:
    """Fills the role of `app.domain.ports.Sealer`.

    Random nonces are safe for 2^32 values under one key, which a busy installation's streams would reach in days. So a
    key of the ring seals nothing itself: each job's key is derived from it.
    """

    def __init__(self, ring: KeyRing) -> None:
        """Seal with the ring's current key, open with all."""
        self._ring = ring

    @property
    def current(self) -> str | None:
        """The id of the key that seals."""
        return self._ring.current

    @cached_property
    def key_ids(self) -> frozenset[str]:
        """The ids of the keys that open."""
        return frozenset(self._ring.keys)

    def seal(self, plain: bytes, job_id: UUID, place: str) -> str:
        """Encrypt under the current key, with a fresh nonce."""
        assert self._ring.current, "there is no key to seal with"
        nonce = os.urandom(NONCE_BYTES)
        cipher = _cipher(self._ring.keys[self._ring.current], job_id)
        return join(self._ring.current, nonce + cipher.encrypt(nonce, plain, _bound_to(job_id, place)))

    def open(self, sealed: str, job_id: UUID, place: str) -> bytes:
        """Decrypt what `seal()` made for this job and place."""
        key_id, blob = split(sealed, job_id, place)
        key = self._ring.keys.get(key_id)
        if key is None:
            raise missing_key(key_id, job_id, place)
        try:
            return _cipher(key, job_id).decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], _bound_to(job_id, place))
        except (InvalidTag, ValueError):
            # ValueError: too short to hold a nonce.
            raise damaged(key_id, job_id, place) from None


def _cipher(key: bytes, job_id: UUID) -> AESGCM:
    return AESGCM(HKDFExpand(SHA256(), KEY_BYTES, _PURPOSE + job_id.bytes).derive(key))


def _bound_to(job_id: UUID, place: str) -> bytes:
    return job_id.bytes + place.encode()
