"""A look at a model server that costs no tokens: its list of models."""

from dataclasses import dataclass

import httpx2

from app.settings import read_secret
from app.upstreams import reading
from app.upstreams.catalog import Upstream


@dataclass(frozen=True, slots=True)
class Pong:
    """How the server answered. `status` is 0 if it could not be reached, `models` None if it lists none."""

    status: int
    models: frozenset[str] | None = None


def ping(upstream: Upstream, *, timeout: float) -> Pong:
    """Ask for the models as a job would, with the upstream's key; at most `timeout` seconds for each step."""
    key = read_secret(upstream.api_key_env) if upstream.api_key_env else None
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"{str(upstream.base_url).rstrip('/')}/models"
    try:
        reply = httpx2.get(address, headers=headers, timeout=timeout)
    except (httpx2.HTTPError, UnicodeEncodeError):
        return Pong(0)
    return Pong(reply.status_code, _listed(reply.content) if reply.status_code == 200 else None)


def _listed(body: bytes) -> frozenset[str] | None:
    try:
        answer = reading.parse(body)
    except (ValueError, RecursionError):
        return None
    listed = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        return None
    return frozenset(str(entry["id"]) for entry in listed if isinstance(entry, dict) and "id" in entry)
