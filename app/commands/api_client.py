"""The API as any client sees it: create a response, follow its stream, go on where the connection dropped."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2

from app.commands.access import running_stack
from app.domain.errors import ConfigurationError, ServiceError, UnavailableError
from app.domain.requests import JSON
from app.settings import Settings, read_secret
from app.upstreams.sse import event_data

TIMEOUT = 30.0
"""Seconds without a byte after which a connection is given up: a stream is never silent for so long."""
PATIENCE = 60.0
"""Seconds for which a stream that keeps dropping is taken up again."""
PAUSE = 1.0
"""Seconds between two tries, unless the API says how long."""
ENDS = {"response.completed", "response.incomplete", "response.failed"}


class ApiError(ServiceError):
    """The API refused; the message is its own."""

    code = "api"


class DroppedError(Exception):
    """The connection, or this API process, is gone; the job is not. `pause` is how long to wait before the next try."""

    def __init__(self, pause: float = PAUSE) -> None:
        super().__init__()
        self.pause = pause


@dataclass(slots=True)
class ApiClient:
    """One API key at one API."""

    url: str
    key: str = field(repr=False)

    def models(self) -> list[str]:
        """The names that a request may ask for."""
        return [str(entry["id"]) for entry in self._call("GET", "/v1/models")["data"]]

    def create(self, body: JSON, idempotency_key: str) -> JSON:
        """Submit, and return the response as it is now."""
        created: JSON = self._call("POST", "/v1/responses", body, idempotency_key)
        return created

    def get(self, response_id: str) -> JSON:
        """The response as it is now."""
        found: JSON = self._call("GET", f"/v1/responses/{response_id}")
        return found

    def follow(self, body: JSON, idempotency_key: str | None = None) -> Iterator[JSON]:
        """Submit with `stream`, and yield every event once, though the connection drops.

        Raises UnavailableError if nothing answers for PATIENCE seconds, ApiError if the API refuses.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        response_id, last, alive_at = "", -1, time.monotonic()
        while True:
            try:
                for event in self._events(body, headers, response_id, last):
                    alive_at = time.monotonic()
                    last = int(event["sequence_number"])
                    response_id = response_id or event["response"]["id"]
                    yield event
                    if event["type"] in ENDS:
                        return
                pause = PAUSE
            except DroppedError as dropped:
                pause = dropped.pause
            if time.monotonic() + pause - alive_at > PATIENCE or not last + 1:
                raise UnavailableError(self._silent(response_id))
            time.sleep(pause)

    def _events(self, body: JSON, headers: dict[str, str], response_id: str, last: int) -> Iterator[JSON]:
        if response_id:
            path = f"/v1/responses/{response_id}?stream=true&starting_after={last}"
            request = httpx2.stream("GET", self.url + path, headers=self._headers(), timeout=TIMEOUT)
        else:
            sent = self._headers() | headers
            request = httpx2.stream("POST", f"{self.url}/v1/responses", json=body, headers=sent, timeout=TIMEOUT)
        with _dropping(), request as reply:
            if reply.status_code != 200:
                reply.read()
                if response_id and reply.status_code in {429, 503}:
                    raise DroppedError(_pause(reply))
                raise _refused(reply)
            for data in event_data(reply.iter_bytes()):
                if data != b"[DONE]":
                    yield json.loads(data)

    def _call(self, method: str, path: str, body: JSON | None = None, idempotency_key: str | None = None) -> Any:
        headers = self._headers() | ({"Idempotency-Key": idempotency_key} if idempotency_key else {})
        try:
            reply = httpx2.request(method, self.url + path, json=body, headers=headers, timeout=TIMEOUT)
        except httpx2.HTTPError as error:
            raise UnavailableError(self._silent("")) from error
        if reply.status_code != 200:
            raise _refused(reply)
        return reply.json()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def _silent(self, response_id: str) -> str:
        if response_id:
            return f"The API does not answer any more. {response_id} goes on: `simmer jobs tail {response_id}`."
        return "The API does not answer. Check SIMMER_API_URL, and that it runs."


def api_client(settings: Settings) -> ApiClient:
    """Where SIMMER_API_URL and SIMMER_API_KEY point to, else the `simmer up` that runs in the home.

    Raises ConfigurationError if there is neither.
    """
    running = running_stack(settings)
    url = read_secret("SIMMER_API_URL") or running.get("api_url")
    # The local stack's key is for the local stack alone.
    local = running.get("api_key") if url == running.get("api_url") else None
    key = read_secret("SIMMER_API_KEY") or local
    if not url or not key:
        raise ConfigurationError("Set SIMMER_API_URL and SIMMER_API_KEY, or run `simmer up` in this folder.")
    if not url.startswith(("http://", "https://")) or not key.isascii():
        raise ConfigurationError("SIMMER_API_URL must look like https://host:port, and SIMMER_API_KEY like sk-simmer-…")
    return ApiClient(url.rstrip("/"), key)


@contextmanager
def _dropping() -> Iterator[None]:
    try:
        yield
    except (httpx2.HTTPError, ValueError) as error:
        raise DroppedError from error


def _pause(reply: httpx2.Response) -> float:
    told = reply.headers.get("Retry-After", "")
    return min(float(told), PATIENCE / 2) if told.isdecimal() else PAUSE


def _refused(reply: httpx2.Response) -> ApiError:
    """The API's own words; only the status if it is not the API that answered."""
    try:
        message = str(reply.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ApiError(
            f"The address answers with status {reply.status_code}, and not as the API. Check SIMMER_API_URL."
        )
    return ApiError(f"{message} (status {reply.status_code})")
