"""Keys that payloads are sealed with at rest, the form of what is sealed, and what is said when it does not open."""

import base64
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from app.domain.errors import UnavailableError

log = logging.getLogger(__name__)

PREFIX = "sealed1:"
"""What a sealed value begins with; then come the key's id, a colon, and the rest in base64."""
OFF = "off"
"""In place of the first key: nothing is sealed any more, and what is sealed still opens."""
KEY_BYTES = 32

_ID = re.compile("[a-z0-9][a-z0-9-]{0,31}")
_EXAMPLE = "must be ID:KEY, or several with commas between them. `simmer encryption new-key` makes one"


class SealedError(UnavailableError):
    """A value does not open here. It may elsewhere, or later: its key is not set, or it is not the one it should be."""

    def __init__(self) -> None:
        super().__init__("What is stored can't be read now. Try again; if it recurs, report the request id.")


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys by their ids: all of them open. `current` is the id of the one that seals, None if none does."""

    current: str | None = None
    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)


class NoSealer:
    """Without keys nothing is sealed, and what is sealed does not open."""

    current: str | None = None
    key_ids: frozenset[str] = frozenset()

    def seal(self, plain: bytes, job_id: UUID, place: str) -> str:
        """Must not be called."""
        raise AssertionError("there is no key to seal with")

    def open(self, sealed: str, job_id: UUID, place: str) -> bytes:
        """Raise SealedError."""
        raise missing_key(split(sealed, job_id, place)[0], job_id, place)


def parse_keys(text: str) -> KeyRing:
    """The keys of `ID:KEY,ID:KEY`, the current one first. Raises ValueError, which tells nothing of the keys."""
    entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
    off = entries[:1] == [OFF]
    pairs = [_parse(entry) for entry in entries[off:]]
    keys = dict(pairs)
    if len(keys) < len(pairs):
        raise ValueError("must not name the same id twice")
    if len(set(keys.values())) < len(keys):
        raise ValueError("must not have the same key under two ids")
    return KeyRing(pairs[0][0] if pairs and not off else None, keys)


def new_key() -> str:
    """A new entry `ID:KEY`; the id begins with the day."""
    key_id = f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(3)}"
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def join(key_id: str, blob: bytes) -> str:
    """The form in which a sealed value is stored."""
    return f"{PREFIX}{key_id}:{base64.b64encode(blob).decode()}"


def split(sealed: str, job_id: UUID, place: str) -> tuple[str, bytes]:
    """The key's id and what `join()` was given. Raises SealedError if it has another form."""
    key_id, _, encoded = sealed.removeprefix(PREFIX).partition(":")
    if not sealed.startswith(PREFIX) or not _ID.fullmatch(key_id):
        raise damaged("unknown", job_id, place)
    try:
        return key_id, base64.b64decode(encoded, validate=True)
    except ValueError:
        raise damaged(key_id, job_id, place) from None


def missing_key(key_id: str, job_id: UUID, place: str) -> SealedError:
    """The error to raise, once the operator has been told which key it is."""
    fields = {"key_id": key_id, "job_id": job_id, "place": place}
    log.error("what is stored is sealed with a key that SIMMER_ENCRYPTION_KEYS does not name", extra={"fields": fields})
    return SealedError()


def damaged(key_id: str, job_id: UUID, place: str) -> SealedError:
    """The same for a value that its key does not open."""
    fields = {"key_id": key_id, "job_id": job_id, "place": place}
    log.error("what is stored does not open: it was changed, or another key has this id", extra={"fields": fields})
    return SealedError()


def _parse(entry: str) -> tuple[str, bytes]:
    key_id, _, encoded = entry.partition(":")
    if not _ID.fullmatch(key_id) or key_id == OFF:
        raise ValueError(f"{_EXAMPLE}; an id has up to 32 lower-case letters, digits and hyphens")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise ValueError(f"{_EXAMPLE}; a key is base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"{_EXAMPLE}; a key has {KEY_BYTES} bytes before base64")
    return key_id, key
