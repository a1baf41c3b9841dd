"""Keys to encrypt with, and databases of one and the same Postgres that differ in their keys."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

from app.adapters.sealer import AesGcmSealer
from app.db.engine import Database
from app.domain.encryption import parse_keys
from app.settings import Settings

CANARY = "canary-93c5e1"


def keys(*ids: str) -> str:
    """A value of SIMMER_ENCRYPTION_KEYS: the same key for the same id each time; `off` is no key."""
    made = {key_id: base64.b64encode(key_id.encode().ljust(32, b".")).decode() for key_id in ids if key_id != "off"}
    return ",".join(f"{key_id}:{made[key_id]}" if key_id in made else key_id for key_id in ids)


def sealer(*ids: str) -> AesGcmSealer:
    """Seals with the first key, opens with all."""
    return AesGcmSealer(parse_keys(keys(*ids)))


@contextmanager
def connected(url: str, *ids: str) -> Iterator[Database]:
    """The database as a process with these keys has it."""
    made = Database(Settings(database_url=url), sealer=sealer(*ids))
    yield made
    made.close()
