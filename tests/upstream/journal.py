"""What the mock remembers of every call: in memory up to a cap, and in a file that outlives it."""

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Ended = Literal["answered", "client_closed", "reset", "closed", "cut", "stopped", "failed", "lost"]
HEADERS_OF_INTEREST = ("authorization", "x-client-request-id", "idempotency-key", "user-agent", "traceparent")
_PROMPT_END = 1_000
_BODY_BYTES = 64 * 2**20


@dataclass(slots=True)
class Call:
    """One call for an answer; times are seconds since the epoch, `ended` is None while it runs.

    `ended`: answered (the whole reply was written, an error status too), client_closed (noticed while waiting
    or writing), reset | closed | cut (by a directive), stopped (the mock was told to stop), failed (a defect
    of the mock), lost (the mock was killed; seen after its restart on the same record file).
    """

    sequence: int
    attempt: int
    prompt: str
    model: str
    stream: bool
    headers: dict[str, str]
    started_at: float
    ended_at: float | None = None
    ended: Ended | None = None
    status: int | None = None


class Journal:
    """Calls by arrival; `cap` bounds how many are kept, and how many prompts are counted for `attempt`."""

    def __init__(self, cap: int, file: Path | None = None) -> None:
        self._cap = cap
        self._calls: deque[Call] = deque(maxlen=cap)
        self._attempts: dict[str, int] = {}
        self._bodies: deque[tuple[str, bytes]] = deque()
        self._body_bytes = 0
        self.total = self.in_flight = self.max_in_flight = 0
        if file and file.exists():
            self._restore(file)
        self._file = file.open("ab", buffering=0) if file else None

    def begin(self, prompt: str, model: str, *, stream: bool, headers: Mapping[str, str], body: bytes) -> Call:
        self._keep_body(prompt, body)
        self.total += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        kept = _shortened(prompt)
        call = Call(
            sequence=self.total,
            attempt=self._count(kept),
            prompt=kept,
            model=model,
            stream=stream,
            headers={name: headers[name] for name in HEADERS_OF_INTEREST if name in headers},
            started_at=time.time(),
        )
        self._calls.append(call)
        self._append(call)
        return call

    def end(self, call: Call, ended: Ended, status: int | None) -> None:
        self.in_flight -= 1
        call.ended, call.status, call.ended_at = ended, status, time.time()
        self._append(call)

    def find(self, contains: str = "", since: int = 0) -> list[Call]:
        """Calls after sequence number `since` whose prompt holds `contains`, oldest first."""
        return [call for call in self._calls if call.sequence > since and contains in call.prompt]

    def running(self, contains: str) -> int:
        """How many calls whose prompt holds `contains` have not ended."""
        return sum(call.ended is None and contains in call.prompt for call in self._calls)

    def bodies(self, contains: str) -> list[bytes]:
        """Bodies of the latest calls whose prompt holds `contains`, oldest first. Those of earlier ones, and those
        from before a restart, are gone.
        """
        return [body for prompt, body in self._bodies if contains in prompt]

    def _keep_body(self, prompt: str, body: bytes) -> None:
        self._bodies.append((_shortened(prompt), body))
        self._body_bytes += len(body)
        while self._body_bytes > _BODY_BYTES or len(self._bodies) > self._cap:
            self._body_bytes -= len(self._bodies.popleft()[1])

    def _count(self, prompt: str) -> int:
        attempt = self._attempts.pop(prompt, 0) + 1
        self._attempts[prompt] = attempt
        if len(self._attempts) > self._cap:
            del self._attempts[next(iter(self._attempts))]
        return attempt

    def _append(self, call: Call) -> None:
        # Unbuffered and whole: what was seen stands in the file even if the mock is killed right after.
        if self._file:
            self._file.write(json.dumps(asdict(call)).encode() + b"\n")

    def _restore(self, file: Path) -> None:
        with file.open() as lines:
            calls = {call.sequence: call for call in (Call(**json.loads(line)) for line in lines)}
        for call in calls.values():
            self.total = max(self.total, call.sequence)
            self._count(call.prompt)
            if call.ended is None:
                call.ended, call.ended_at = "lost", time.time()
            self._calls.append(call)


def _shortened(prompt: str) -> str:
    if len(prompt) <= 2 * _PROMPT_END:
        return prompt
    return f"{prompt[:_PROMPT_END]} … {prompt[-_PROMPT_END:]}"
