"""What one client wants of one job, from its create on; and how each request becomes a record of the history."""

import asyncio
import json
import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

from tests.faults.cases import TERMINAL
from tests.faults.history import Cancel, Create, History, Read, Stream, code_of, ended_at_of, result_of, state_of
from tests.faults.http import HttpClient, NoReplyError, Reply

PATH = "/v1/model/response"
CANARY = "canary-"
MAX_BACKOFF = 10.0
"""Seconds between two tries of a create, at most, unless the reply asks for more."""
ERRAND = "errand"
"""The name in a job's metadata of what follows CANARY in its prompt."""
_CANARY = re.compile(CANARY + r"[a-z0-9]+-\d+-\d+")


def canaries_in(text: str) -> tuple[str, ...]:
    """All canaries of anybody's that stand in a text, each once."""
    return tuple(sorted(set(_CANARY.findall(text))))


@dataclass(frozen=True, slots=True)
class Errand:
    """One logical request and what its client does about it; `kind` is a key of `load.MIX`."""

    key: str
    canary: str
    kind: str
    script: str
    """Directives for the mock upstream."""
    model: str
    echoed: bool
    idempotency_key: str | None
    max_attempts: int
    insists: bool = False
    """Its client tries for as long as it takes."""

    def body(self) -> bytes:
        """The create that all its tries send."""
        text = f"{self.canary} {self.script}".strip()
        wanted: dict[str, Any] = {
            "model": self.model,
            "background": True,
            "inputs": [{"role": "user", "texts": [{"text": text}]}],
            # Not the canary itself: where it stands in a reply, it came from the model.
            "metadata": {ERRAND: self.canary.removeprefix(CANARY)},
        }
        if self.kind in {"stream", "drop"}:
            wanted["stream"] = True
        return json.dumps(wanted).encode()


@dataclass(slots=True)
class Session:
    """Carries errands out, through whichever API answers. Belongs to one event loop."""

    apis: list[HttpClient]
    secrets: Mapping[str, str]
    history: History
    deadline: float
    """Seconds in which the API must answer."""
    patience: float
    """Seconds for which a client tries again what was refused or not answered."""
    random: random.Random
    accepted: dict[str, Errand] = field(default_factory=dict)
    """By job id: what was answered with 2xx."""
    unknown: int = 0
    """Errands given up without any answer that names a job."""

    async def run(self, errand: Errand) -> None:
        """One errand from its create to the last thing its client does."""
        job_id = await self._create(errand)
        if job_id is None:
            self.unknown += 1
            return
        await asyncio.sleep(self.random.uniform(0, 1))
        match errand.kind:
            case "cancel":
                await self._cancel(errand.key, job_id)
            case "wait":
                await self.read(errand.key, job_id, wait=5)
            case "replay":
                await self._post(errand)
            case "stranger":
                others = [key for key in self.secrets if key != errand.key]
                await self.read(self.random.choice(others or [errand.key]), job_id)
            case "poll" | "drop":
                await self.read(errand.key, job_id)

    async def read(self, key: str, job_id: str, *, wait: float = 0) -> Read:
        """One GET, `wait` seconds long at most."""
        path = f"{PATH}/{job_id}" + (f"?wait={wait:g}" if wait else "")
        sent_at = time.time()
        reply, answered_at = await self._ask("GET", path, key, patience=wait)
        body = reply.json if reply and reply.status == 200 else {}
        found = Read(
            sent_at,
            answered_at,
            key,
            job_id,
            reply.status if reply else None,
            state_of(body),
            result_of(body),
            canaries_in(reply.body.decode()) if reply else (),
            ended_at=ended_at_of(body),
            code=code_of(body),
            patience=wait,
        )
        self.history.append(found)
        return found

    async def page(self, key: str, api: int, after: str | None) -> Reply | None:
        """One page of a key's jobs, newest first."""
        path = f"{PATH}?limit=100" + (f"&after={after}" if after else "")
        return (await self._ask("GET", path, key, api=api))[0]

    async def _create(self, errand: Errand) -> str | None:
        """Try until there is an answer, as a careful client does: what may have been served is sent again only under an
        idempotency key, and each time later, since others try as well.
        """
        give_up_at = time.monotonic() + (math.inf if errand.insists else self.patience)
        for backoff in chain((0.2, 0.4, 0.8, 1.6, 3.2, 6.4), repeat(MAX_BACKOFF)):
            status, job_id, pause = await self._attempt(errand)
            if job_id:
                self.accepted[job_id] = errand
                return job_id
            repeatable = errand.idempotency_key is not None or status in {429, 503}
            if not repeatable or time.monotonic() + pause > give_up_at:
                return None
            await asyncio.sleep(max(pause, backoff) * self.random.uniform(1, 1.5))
        raise AssertionError("unreachable: the pauses never end")

    async def _attempt(self, errand: Errand) -> tuple[int | None, str | None, float]:
        """Status, job id and the seconds to wait before the next try."""
        if errand.kind in {"stream", "drop"}:
            status, job_id = await self._post_stream(errand)
            return status, job_id, 1.0
        reply = await self._post(errand)
        if reply is None:
            return None, None, 0.5
        job_id = reply.json["id"] if reply.status == 200 else None
        return reply.status, job_id, reply.retry_after

    async def _post(self, errand: Errand) -> Reply | None:
        sent_at = time.time()
        reply, answered_at = await self._ask("POST", PATH, errand.key, errand.body(), _idempotency(errand))
        body = reply.json if reply and reply.status == 200 else {}
        self.history.append(
            Create(
                sent_at,
                answered_at,
                errand.key,
                errand.canary,
                errand.idempotency_key,
                reply.status if reply else None,
                body.get("id"),
                errand.max_attempts,
                echoed=errand.echoed,
                state=state_of(body),
                result=result_of(body),
                canaries=canaries_in(reply.body.decode()) if reply else (),
            )
        )
        return reply

    async def _post_stream(self, errand: Errand) -> tuple[int | None, str | None]:
        """Create a job with a stream, and read it to its end; a `drop` leaves at the first event."""
        sent_at, answered_at, status, job_id = time.time(), None, None, None
        numbers: list[int] = []
        last: dict[str, Any] = {}
        seen: set[str] = set()
        api = self.random.choice(self.apis)
        headers = {**self._headers(errand.key), **_idempotency(errand)}
        timeout = self.deadline + self.patience
        try:
            async with api.stream("POST", PATH, headers, errand.body(), timeout=timeout) as (status, lines):
                async for line in lines:
                    answered_at = answered_at or time.time()
                    if not line.startswith(b"data: {"):
                        continue
                    event = json.loads(line[6:])
                    seen.update(canaries_in(line.decode()))
                    numbers.append(event["sequence_number"])
                    last = event.get("response") or last
                    job_id = job_id or last.get("id")
                    if errand.kind == "drop":
                        break
        except (NoReplyError, TimeoutError):
            answered_at = answered_at or _broke_at(sent_at, self.deadline)
        self._note_stream(errand, (sent_at, answered_at), status, job_id, numbers, last, seen)
        return status, job_id

    def _note_stream(
        self,
        errand: Errand,
        times: tuple[float, float | None],
        status: int | None,
        job_id: str | None,
        numbers: list[int],
        last: dict[str, Any],
        seen: set[str],
    ) -> None:
        known = status if job_id or status != 200 else None
        self.history.append(
            Create(
                *times,
                errand.key,
                errand.canary,
                errand.idempotency_key,
                known,
                job_id,
                errand.max_attempts,
                echoed=errand.echoed,
            )
        )
        if job_id:
            state = state_of(last)
            terminal = state if state in TERMINAL else None
            found = tuple(sorted(seen))
            # The answer of a stream is what its last event showed; one cut short has none.
            result = result_of(last) if terminal else None
            self.history.append(
                Stream(errand.key, job_id, times[0], time.time(), tuple(numbers), terminal, result, found)
            )

    async def _cancel(self, key: str, job_id: str) -> None:
        sent_at = time.time()
        reply, answered_at = await self._ask("POST", f"{PATH}/{job_id}/cancel", key)
        body = reply.json if reply and reply.status == 200 else {}
        status = reply.status if reply else None
        found = canaries_in(reply.body.decode()) if reply else ()
        self.history.append(Cancel(sent_at, answered_at, key, job_id, status, state_of(body), result_of(body), found))

    async def _ask(
        self,
        method: str,
        path: str,
        key: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        api: int | None = None,
        patience: float = 0,
    ) -> tuple[Reply | None, float | None]:
        """The reply, and when it was there; no reply and the time if the connection broke; neither at the deadline."""
        chosen = self.random.choice(self.apis) if api is None else self.apis[api]
        sent = {**self._headers(key), **(headers or {})}
        try:
            reply = await chosen.request(method, path, sent, body, timeout=self.deadline + patience)
        except NoReplyError:
            return None, time.time()
        except TimeoutError:
            return None, None
        return reply, time.time()

    def _headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets[key]}", "Content-Type": "application/json"}


def _idempotency(errand: Errand) -> dict[str, str]:
    return {"Idempotency-Key": errand.idempotency_key} if errand.idempotency_key else {}


def _broke_at(sent_at: float, deadline: float) -> float | None:
    """The time, if it is not past the deadline."""
    now = time.time()
    return now if now - sent_at < deadline else None
