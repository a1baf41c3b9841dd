"""The few HTTP calls the stack makes to its own processes, on loopback, never through a proxy."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT = 5.0
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(url: str, *, authorization: str = "", body: object = None, timeout: float = TIMEOUT) -> tuple[int, Any]:
    """Status and decoded JSON (None if it is none). Raises OSError when nobody answers within `timeout` s."""
    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - our own http:// addresses
    try:
        with _opener.open(request, timeout=timeout) as reply:
            return reply.status, _decode(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _decode(error.read())


def answers(url: str, authorization: str = "") -> bool:
    """Whether a GET is answered with 200."""
    try:
        return call(url, authorization=authorization)[0] == 200
    except (OSError, ValueError):
        return False


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _decode(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return None
