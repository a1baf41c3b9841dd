"""How every answer's JSON is written."""

import json
from typing import Any

from flask.json.provider import DefaultJSONProvider

# Made once, where `json.dumps` makes one for each call that asks for something.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def to_json(value: Any) -> bytes:
    """The body of an answer: JSON in ASCII, keys in the order in which they were put, a line end."""
    return f"{_encode(value)}\n".encode()


class JsonProvider(DefaultJSONProvider):
    """Flask's `jsonify`, writing the same."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """The JSON text of `obj`."""
        return _encode(obj)
