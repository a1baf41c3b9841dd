"""The columns that hold what clients and models wrote, on their way into a row and back."""

import json
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from app.domain.encryption import PREFIX, NoSealer
from app.domain.ports import Sealer

SEALER = "simmer_sealer"
"""The execution option in which each connection of a Database carries its sealer."""
PAYLOADS = ("request", "inputs", "output", "events")
"""Nothing queries inside of these."""

_PREFIX = PREFIX.encode()
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_NONE = NoSealer()


def sealer_of(connection: Connection) -> Sealer:
    """What seals and opens the rows of this connection's database."""
    sealer: Sealer = connection.get_execution_options().get(SEALER, _NONE)
    return sealer


def sealed(sealer: Sealer, job_id: UUID, **columns: Any) -> dict[str, Any]:
    """The values of these columns as they are to be stored."""
    if sealer.current is None:
        return columns
    return {name: _sealed(sealer, job_id, name, value) for name, value in columns.items()}


def opened(sealer: Sealer, job_id: UUID, name: str, value: Any) -> Any:
    """The value of a stored column, whether it is sealed or not. Raises SealedError."""
    # What is plain is a JSON object or array, or zlib's bytes: none of them can be mistaken.
    if isinstance(value, str):
        return json.loads(sealer.open(value, job_id, name))
    if isinstance(value, bytes) and value.startswith(_PREFIX):
        return sealer.open(value.decode("ascii", "replace"), job_id, name)
    return value


def _sealed(sealer: Sealer, job_id: UUID, name: str, value: Any) -> str | bytes | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return sealer.seal(value, job_id, name).encode()
    return sealer.seal(_to_json(value).encode("utf-8", "surrogatepass"), job_id, name)
