"""The form of an API key: `sk-simmer-`, 30 random characters, and a checksum of 6."""

import hashlib
import hmac
import secrets
import string
import zlib

PREFIX = "sk-simmer-"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_LENGTH = 30
_CHECKSUM_LENGTH = 6


def new_key() -> str:
    """A new key with 178 random bits."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return PREFIX + body + _checksum(body)


def well_formed(key: str) -> bool:
    """Whether `key` could be one of ours: a typing error or a made-up key costs no question to the database."""
    body = key.removeprefix(PREFIX)
    if not key.startswith(PREFIX) or len(body) != _RANDOM_LENGTH + _CHECKSUM_LENGTH or not body.isascii():
        return False
    return body.isalnum() and hmac.compare_digest(body[_RANDOM_LENGTH:], _checksum(body[:_RANDOM_LENGTH]))


def digest(key: str) -> bytes:
    """What is stored. Plain SHA-256 is enough: the key is random, so there is nothing to guess it from."""
    return hashlib.sha256(key.encode()).digest()


def _checksum(body: str) -> str:
    """CRC-32 in base 62: 62^6 is more than 2^32."""
    value = zlib.crc32(body.encode())
    characters = []
    for _ in range(_CHECKSUM_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))
